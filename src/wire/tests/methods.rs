//! The table of methods and the proto file say the same, so that no method is without a role.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use aegis_wire::operator::METHODS;

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");

/// The methods of `service Operator`, by the compiler's account.
fn compiled() -> Vec<String> {
    let files = protox::compile(["aegis/v1/operator.proto"], [PROTO]).unwrap().file;
    let service = files.iter().flat_map(|file| &file.service).find(|service| service.name() == "Operator");
    service.expect("the service is there").method.iter().map(|method| method.name().to_owned()).collect()
}

/// The same with the role of the comment (`// ---- viewer`) that each stands under.
fn commented() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(format!("{PROTO}/aegis/v1/operator.proto")).unwrap();
    let (mut role, mut methods) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix("// ---- ") {
            // Any role means the least.
            role = if heading == "any role" { "viewer".to_owned() } else { heading.to_owned() };
        } else if let Some(rest) = line.strip_prefix("rpc ") {
            methods.push((rest.split('(').next().unwrap().to_owned(), role.clone()));
        }
    }
    methods
}

#[test]
fn every_method_is_in_the_table_with_its_role() {
    let table: Vec<(String, String)> =
        METHODS.iter().map(|(name, role)| ((*name).to_owned(), role.to_string())).collect();
    assert_eq!(table, commented());
    assert_eq!(table.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), compiled());
}
