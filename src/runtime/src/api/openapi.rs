//! The `OpenAPI` document, made of the table and the types.

use std::collections::BTreeMap;

use aegis_wire::runtime::{ErrorBody, Record};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::table::{Gives, ROUTES, Route};

/// The document as text.
pub fn document() -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>().to_value();
    let record = generator.subschema_for::<Record>().to_value();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES.iter().filter(|route| route.is_documented) {
        let mut operation = Map::new();
        operation.insert("summary".into(), route.summary.into());
        operation.insert("operationId".into(), operation_id(route).into());
        let parameters = parameters(route);
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
        if let Some(of) = route.request {
            let schema = of(&mut generator).to_value();
            let mut content = json!({ "application/json": { "schema": schema } });
            if route.streams {
                content["application/x-ndjson"] = json!({
                    "schema": { "type": "string", "description": "a line of JSON as for application/json, then lines of input" }
                });
            }
            operation.insert("requestBody".into(), json!({ "content": content }));
        }
        let mut responses = BTreeMap::new();
        let body = |schema: Value| json!({ "application/json": { "schema": schema } });
        match &route.gives {
            Gives::Ok(of) => {
                let schema = of(&mut generator).to_value();
                responses.insert(200, json!({ "description": "as asked for", "content": body(schema) }));
            }
            Gives::Created(of) => {
                let schema = of(&mut generator).to_value();
                responses.insert(201, json!({ "description": "made", "content": body(schema) }));
            }
            Gives::CreatedOrOk(of) => {
                let schema = of(&mut generator).to_value();
                responses.insert(200, json!({ "description": "was there", "content": body(schema.clone()) }));
                responses.insert(201, json!({ "description": "made", "content": body(schema) }));
            }
            Gives::Records => {
                let lines = json!({ "application/x-ndjson": { "schema": record } });
                responses.insert(200, json!({ "description": "records, one a line", "content": lines }));
            }
            Gives::Nothing => drop(responses.insert(204, json!({ "description": "done" }))),
        }
        for code in route.refuses.iter().chain(&[500]) {
            responses.insert(*code, json!({ "description": meaning(*code), "content": body(error.clone()) }));
        }
        let responses: Map<String, Value> =
            responses.into_iter().map(|(code, value)| (code.to_string(), value)).collect();
        operation.insert("responses".into(), responses.into());
        paths.entry(route.path).or_default().insert(route.method.as_str().to_lowercase(), operation.into());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "aegisd",
            "version": "1",
            "description": "HTTP/1.1 with JSON on the Unix socket ~/.aegis/aegisd.sock. Whoever speaks to it has the same user id, or is root.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "http://aegisd" }],
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// `POST /v1/apps/{app}/publish` is `post_apps_app_publish`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/v1").replace(['{', '}'], "").replace('/', "_");
    format!("{}{path}", route.method.as_str().to_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    all.extend(route.query.iter().map(|name| {
        let (schema, description) = match *name {
            "follow" => (json!({ "type": "boolean" }), "go on with what comes"),
            "since" => (json!({ "type": "string", "format": "date-time" }), "nothing before this"),
            "tail" => (
                json!({ "type": "integer", "minimum": 0 }),
                "at most so many that are there already: the last",
            ),
            _ => (json!({ "type": "string", "enum": ["main", "exec", "system"] }), "only what this wrote"),
        };
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    }));
    all
}

fn meaning(code: u16) -> &'static str {
    match code {
        400 => "the request can't be read",
        404 => "there is no such thing",
        409 => "it is in a state in which that can't be done",
        413 => "it is more than is allowed",
        422 => "it can be read, and can't be right",
        _ => "the daemon or the host failed",
    }
}
