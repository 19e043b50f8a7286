//! The router, and the ports.

use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

use aegis_tests::{
    eventually,
    runtime::{
        BOOTS, Runtime,
        http::{Request, Response},
        image::{Image, Layer},
    },
};
use serde_json::json;

use crate::stage::{App, HTTPD, Stage, site};

crate::scenarios! {
    the_router_finds_an_app_by_host_path_and_header_and_never_guesses,
    two_apps_are_never_mixed_up,
    a_websocket_goes_through,
    bodies_of_all_kinds_go_through,
    an_app_without_ports_has_no_page,
}

fn get(runtime: &Runtime, request: &Request) -> Response {
    request.send(runtime.router()).expect("the router answers")
}

fn the_router_finds_an_app_by_host_path_and_header_and_never_guesses(stage: &Stage) {
    // A daemon of its own: "the only app" can be told only where there are no others.
    let runtime = stage.own("");
    let nobody = get(&runtime, &Request::get("/"));
    assert!([404, 503].contains(&nobody.status), "{}", nobody.text());
    let red = App::web(&runtime, "red", &stage.registry.push("test/red:1", &site("red")));
    red.serve();
    red.shows("red");
    assert_eq!(get(&runtime, &Request::get("/")).expect(200).text(), "red\n", "it is the only app");
    let blue = App::web(&runtime, "blue", &stage.registry.push("test/blue:1", &site("blue")));
    blue.serve();
    blue.shows("blue");
    for (name, text) in [("red", "red\n"), ("blue", "blue\n")] {
        let by_host = Request::get("/").header("host", &format!("{name}.localhost"));
        let by_path = Request::get(&format!("/app/{name}/"));
        let by_header = Request::get("/").header("x-aegis-app", name);
        for request in [by_host, by_path, by_header] {
            assert_eq!(get(&runtime, &request).expect(200).text(), text, "{request:?}");
        }
    }
    let several = get(&runtime, &Request::get("/")).expect(503).text();
    assert!(several.contains("red") && several.contains("blue"), "{several}");
    for unknown in [
        Request::get("/").header("host", "green.localhost"),
        Request::get("/app/green/"),
        Request::get("/").header("x-aegis-app", "green"),
    ] {
        let answer = get(&runtime, &unknown);
        assert_eq!(answer.status, 404, "{unknown:?}: {}", answer.text());
        assert!(!answer.text().contains("red\n") && !answer.text().contains("blue\n"));
    }
}

fn two_apps_are_never_mixed_up(stage: &Stage) {
    let runtime = &stage.runtime;
    let left = App::web(runtime, "left", &stage.registry.push("test/left:1", &site("left")));
    let right = App::web(runtime, "right", &stage.registry.push("test/right:1", &site("right")));
    left.serve();
    right.serve();
    left.shows("left");
    right.shows("right");
    let router = runtime.router();
    thread::scope(|scope| {
        for name in ["left", "right", "left", "right"] {
            scope.spawn(move || {
                let request = Request::get("/").header("host", &format!("{name}.localhost"));
                for _ in 0..25 {
                    assert_eq!(
                        request.send(router).expect("an answer").expect(200).text(),
                        format!("{name}\n")
                    );
                }
            });
        }
    });
}

/// Says hello as a WebSocket server does, by the key that it was asked with, and sends back what it gets.
const WEBSOCKET: &str = r#"#!/bin/sh
while read -r line; do
  line=$(printf %s "$line" | tr -d '\r')
  [ -n "$line" ] || break
  case $line in [Ss]ec-[Ww]eb[Ss]ocket-[Kk]ey:*) key=${line#*: } ;; esac
done
accept=$(printf %s "${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11" | sha1sum | cut -c 1-40 | xxd -r -p | base64)
printf 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n' "$accept"
exec cat
"#;

fn a_websocket_goes_through(stage: &Stage) {
    let runtime = &stage.runtime;
    let image = Image::base().layer(&Layer::new().folder("srv").file("srv/echo", 0o755, WEBSOCKET));
    let reference = stage.registry.push("test/socket:1", &image);
    let command = ["nc", "-ll", "-p", "80", "-e", "/srv/echo"];
    let app = App::create(runtime, "socket", &reference, &command, json!({}));
    app.publish();
    app.serve();
    let request = Request::get("/chat")
        .header("host", "socket.localhost")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut stream = request.begin(runtime.router()).expect("the router");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains(&"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_ascii_lowercase()), "{head}");
    for text in [b"\x81\x85\x00\x00\x00\x00hello".to_vec(), vec![0x82; 20_000]] {
        stream.write_all(&text).unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).expect("the echo");
        assert_eq!(back, text);
    }
    // An open one counts as a connection.
    assert_eq!(runtime.live("socket")[0]["connections"], 1);
}

/// Says how many bytes it was sent, by which method.
const COUNT: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho \"$REQUEST_METHOD $(wc -c) $QUERY_STRING\"\n";

fn bodies_of_all_kinds_go_through(stage: &Stage) {
    let runtime = &stage.runtime;
    let big: Vec<u8> =
        (0..3_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let layer = Layer::new()
        .folder("srv")
        .folder("srv/cgi-bin")
        .file("srv/index.html", 0o644, "index\n")
        .file("srv/big", 0o644, &big)
        .file("srv/cgi-bin/count", 0o755, COUNT);
    let reference = stage.registry.push("test/bodies:1", &Image::base().layer(&layer));
    let app = App::web(runtime, "bodies", &reference);
    app.serve();
    app.shows("index");
    let to = |request: Request| get(runtime, &request.header("host", "bodies.localhost"));
    assert_eq!(to(Request::get("/big")).expect(200).body, big);
    let head = to(Request::new("HEAD", "/big")).expect(200);
    assert_eq!((head.body.len(), head.header("content-length")), (0, Some("3000000")));
    let posted = to(Request::new("POST", "/cgi-bin/count?a=b").body("application/octet-stream", big.clone()));
    assert_eq!(posted.expect(200).text(), "POST 3000000 a=b\n");
    assert_eq!(to(Request::get("/none")).status, 404);
    // Two requests on one connection.
    let request = Request::get("/").header("host", "bodies.localhost").header("connection", "keep-alive");
    let mut stream = request.begin(runtime.router()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut seen = String::new();
    let mut piece = [0; 4096];
    while !seen.contains("index\n") {
        let count = stream.read(&mut piece).expect("the first answer");
        assert_ne!(count, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bodies.localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the second answer");
    assert!(rest.contains("index\n"), "{rest}");
    // The prefix of a path isn't part of what the app is asked.
    assert_eq!(get(runtime, &Request::get("/app/bodies/big")).expect(200).body.len(), big.len());
}

fn an_app_without_ports_has_no_page(stage: &Stage) {
    let runtime = &stage.runtime;
    let app = App::create(runtime, "portless", &stage.web, &["sleep", "100000"], json!({"expose": []}));
    app.publish();
    let id = app.serve();
    let answer = runtime.page("portless");
    assert!([404, 502, 503].contains(&answer.status), "{}: {}", answer.status, answer.text());
    // And one whose server isn't there yet is waited for or told, and doesn't hang.
    assert_eq!(runtime.instance(&id)["state"], "running");
    let late = ["sh", "-c", "sleep 2; exec httpd -f -p 80 -h /srv"];
    let late = App::create(runtime, "late", &stage.web, &late, json!({}));
    late.publish();
    late.serve();
    eventually("the late one answers", BOOTS, || (runtime.page("late").status == 200).then_some(()));
    drop((app, late, HTTPD));
}
