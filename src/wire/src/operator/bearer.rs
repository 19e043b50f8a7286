//! Who calls, as the call says.

use std::fmt;

use aegis_core::TenantId;
use tonic::metadata::MetadataMap;

use super::METHODS;
use crate::{error::ApiError, token::Role};

/// The metadata entry for the token.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// The metadata entry with which a delegated caller acts for another tenant.
pub(crate) const TENANT: &str = "x-tenant-id";

/// The token that came with a call, not checked yet, and what the call needs.
#[derive(Clone)]
pub struct Bearer {
    token: String,
    tenant: Option<TenantId>,
    method: &'static str,
    role: Role,
}

impl Bearer {
    /// A call of `method` with this token: for tests of a service without a network. `None`: no such method.
    pub fn new(token: impl Into<String>, tenant: Option<TenantId>, method: &str) -> Option<Self> {
        let (method, role) = METHODS.iter().find(|(name, _)| *name == method)?;
        Some(Self { token: token.into(), tenant, method, role: *role })
    }

    pub(crate) fn of_call(metadata: &MetadataMap, method: &'static str) -> Result<Self, ApiError> {
        let missing = || {
            ApiError::unauthenticated("the call carries no token")
                .hint("give one with AEGIS_USER_TOKEN or a context file")
        };
        let text = metadata.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
        let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(missing());
        }
        let tenant = match metadata.get(TENANT) {
            None => None,
            Some(value) => {
                let text = value.to_str().map_err(|_| ApiError::invalid("x-tenant-id isn't text"))?;
                Some(TenantId::new(text).map_err(|error| ApiError::invalid(error.to_string()))?)
            }
        };
        Self::new(token, tenant, method)
            .ok_or_else(|| ApiError::internal(format!("{method} isn't in the table")))
    }

    /// The token's text.
    pub fn token(&self) -> &str {
        &self.token
    }
    /// The tenant that the caller wants to act for, if it isn't its own (`X-Tenant-Id`).
    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }
    /// The method that is called, as in [`METHODS`].
    pub fn method(&self) -> &'static str {
        self.method
    }
    /// The least role that may call it.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({}, token …)", self.method)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::Code;

    fn call(entries: &[(&'static str, &str)]) -> Result<Bearer, ApiError> {
        let mut metadata = MetadataMap::new();
        for (key, value) in entries {
            metadata.insert(*key, value.parse().unwrap());
        }
        Bearer::of_call(&metadata, "ListNodes")
    }

    #[test]
    fn the_token_and_the_tenant_are_read() {
        let bearer = call(&[(AUTHORIZATION, "Bearer a.b.c"), (TENANT, "t-web")]).unwrap();
        assert_eq!((bearer.token(), bearer.method(), bearer.role()), ("a.b.c", "ListNodes", Role::Viewer));
        assert_eq!(bearer.tenant().unwrap().as_str(), "t-web");
        assert!(!format!("{bearer:?}").contains("a.b.c"));
    }

    #[test]
    fn a_call_without_a_token_is_nobodys() {
        for entries in
            [&[][..], &[(AUTHORIZATION, "Bearer ")], &[(AUTHORIZATION, "Basic x")], &[(AUTHORIZATION, "x")]]
        {
            assert_eq!(call(entries).unwrap_err().code, Code::Unauthenticated);
        }
        let bad_tenant = call(&[(AUTHORIZATION, "Bearer a"), (TENANT, "No Tenant")]).unwrap_err();
        assert_eq!(bad_tenant.code, Code::Invalid);
    }
}
