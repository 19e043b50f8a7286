//! A host by its id, a unique prefix of it, or a name that is unique in the tenant (1-product.md, decision 1).

use std::collections::{BTreeMap, HashMap};

use aegis_core::NodeId;

use super::did_you_mean;
use crate::realm::Host;

/// The hosts of a tenant, by what people may call them.
#[derive(Debug)]
pub struct Names<'a> {
    by_id: HashMap<&'a str, &'a Host>,
    /// In order, so that of equally near names it is always the same one.
    by_name: BTreeMap<&'a str, Vec<&'a Host>>,
}

/// Why a text names no single host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing is called so.
    Unknown {
        /// The text.
        given: String,
        /// The nearest name there is, as a help line.
        near: Option<String>,
    },
    /// Several are.
    Ambiguous {
        /// The text.
        given: String,
        /// Their ids.
        ids: Vec<NodeId>,
    },
}

impl Unresolved {
    /// What is wrong.
    pub fn message(&self) -> String {
        match self {
            Self::Unknown { given, .. } => format!("no host called '{given}' is enrolled"),
            Self::Ambiguous { given, ids } => {
                let ids: Vec<&str> = ids.iter().map(NodeId::as_str).collect();
                format!("{} hosts are called '{given}': {}", ids.len(), ids.join(", "))
            }
        }
    }
    /// The way out.
    pub fn help(&self) -> String {
        match self {
            Self::Unknown { near: Some(near), .. } => near.clone(),
            Self::Unknown { near: None, .. } => "`aegis edge ls` lists the enrolled hosts".into(),
            Self::Ambiguous { .. } => "name it by its node id".into(),
        }
    }
}

impl<'a> Names<'a> {
    /// Over these hosts.
    pub fn new(hosts: &'a [Host]) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&Host>> = BTreeMap::new();
        for host in hosts {
            by_name.entry(&host.name).or_default().push(host);
        }
        Self { by_id: hosts.iter().map(|host| (host.id.as_str(), host)).collect(), by_name }
    }

    /// The one host that `given` names.
    pub fn resolve(&self, given: &str) -> Result<&'a NodeId, Unresolved> {
        let mut found: Vec<&'a Host> = match (self.by_id.get(given), self.by_name.get(given)) {
            (Some(host), _) => return Ok(&host.id),
            (None, Some(hosts)) => hosts.clone(),
            (None, None) if NodeId::is_prefix(given) => {
                self.by_id.values().filter(|host| host.id.as_str().starts_with(given)).copied().collect()
            }
            (None, None) => Vec::new(),
        };
        match found.as_slice() {
            [one] => Ok(&one.id),
            [] => {
                let near = did_you_mean(given, self.by_name.keys().copied());
                Err(Unresolved::Unknown { given: given.to_owned(), near })
            }
            _ => {
                found.sort_by(|a, b| a.id.cmp(&b.id));
                let ids = found.iter().map(|host| host.id.clone()).collect();
                Err(Unresolved::Ambiguous { given: given.to_owned(), ids })
            }
        }
    }

    /// What people call the host with this id.
    pub fn name_of(&self, id: &str) -> Option<String> {
        self.by_id.get(id).map(|host| host.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, name: &str) -> Host {
        Host { id: NodeId::new(format!("n-{id:0<20}")).unwrap(), name: name.into() }
    }

    #[test]
    fn a_host_is_found_by_id_prefix_or_unique_name() {
        let hosts = [host("aaaa1", "web-1"), host("aaaa2", "web-2"), host("bbbb", "db"), host("cccc", "db")];
        let names = Names::new(&hosts);
        assert_eq!(names.resolve("web-1"), Ok(&hosts[0].id));
        assert_eq!(names.resolve("n-aaaa2"), Ok(&hosts[1].id));
        assert_eq!(names.resolve(hosts[2].id.as_str()), Ok(&hosts[2].id));
        assert!(names.resolve("n-aaaa").unwrap_err().message().contains("2 hosts"));
        assert!(names.resolve("db").unwrap_err().message().contains(hosts[3].id.as_str()));
        let unknown = names.resolve("wbe-1").unwrap_err();
        assert_eq!(unknown.message(), "no host called 'wbe-1' is enrolled");
        assert_eq!(unknown.help(), "did you mean 'web-1'?");
    }
}
