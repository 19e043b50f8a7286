//! The tables of tools and of what is refused.

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{arguments as a, *};

fn check(tool: &str, arguments: &Value) -> Result<(), ArgumentError> {
    check_arguments(&find(tool).unwrap().parameters(), arguments)
}

fn refusal(tool: &str, arguments: &Value) -> String {
    check(tool, arguments).unwrap_err().to_string()
}

#[test]
fn every_tool_has_a_name_of_its_own_and_a_whole_schema() {
    let names: BTreeSet<&str> = BUILTINS.iter().map(|tool| tool.name).collect();
    assert_eq!(names.len(), BUILTINS.len());
    assert_eq!(BUILTINS.len(), 32);
    for tool in BUILTINS {
        let schema = tool.parameters();
        assert_eq!((&schema["type"], &schema["title"]), (&json!("object"), &json!(tool.name)));
        assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        let text = schema.to_string();
        for absent in ["$ref", "$defs", "\"null\"", "oneOf\":[{\"const", "default\":null"] {
            assert!(!text.contains(absent), "{}: {text}", tool.name);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{}: {name} {property}", tool.name);
            assert!(property["type"].is_string(), "{}: {name} {property}", tool.name);
        }
        check::compile(&schema).unwrap();
        let descriptor = tool.descriptor();
        let json = serde_json::to_value(&descriptor).unwrap();
        assert_eq!(serde_json::from_value::<ToolDescriptor>(json).unwrap(), descriptor);
    }
}

#[test]
fn only_what_only_looks_is_read_only() {
    let looks: Vec<&str> =
        BUILTINS.iter().filter(|t| t.class == ToolClass::ReadOnly).map(|t| t.name).collect();
    assert_eq!(
        looks,
        [
            "fs.read",
            "fs.list",
            "fs.glob",
            "fs.grep",
            "service.status",
            "docker.ps",
            "docker.images",
            "docker.logs",
            "docker.inspect",
            "kubectl.get",
            "kubectl.describe",
            "kubectl.logs",
            "host.facts",
        ]
    );
}

#[test]
fn tools_need_the_programs_that_they_wrap() {
    for tool in BUILTINS {
        let needs: &[&str] = match family(tool.name) {
            "docker" => &["docker"],
            "kubectl" => &["kubectl"],
            "service" => &["systemctl", "service"],
            "shell" => &["shell"],
            _ => &[],
        };
        assert_eq!(tool.needs, needs, "{}", tool.name);
        assert_eq!(tool.fleet_capable, tool.name != "docker.exec", "{}", tool.name);
    }
}
