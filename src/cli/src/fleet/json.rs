//! A run for programs: an event a line, as they come.

use std::collections::HashMap;

use aegis_wire::operator::{RunChange, RunEvent, RunTarget};
use bytes::Bytes;
use serde::Serialize;

use super::{Board, Pieces, View, lines::whole_characters};
use crate::terminal::Stream;

/// One JSON object a line. Output says whose it is, too.
#[derive(Debug, Default)]
pub struct JsonLines {
    /// The beginning of a character whose rest hasn't come, by place and whether it is stderr: output that is text
    /// stays text, wherever it is cut.
    begun: HashMap<(u32, bool), Vec<u8>>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a RunEvent,
    #[serde(flatten)]
    host: Option<&'a RunTarget>,
}

impl JsonLines {
    fn output(&mut self, board: &Board, event: &RunEvent, pieces: &mut Pieces) {
        let RunChange::Output { target, stderr, data } = &event.what else { return };
        let begun = self.begun.entry((*target, *stderr)).or_default();
        begun.extend_from_slice(data);
        let rest = begun.split_off(whole_characters(begun));
        let data = Bytes::from(std::mem::replace(begun, rest));
        if !data.is_empty() {
            let what = RunChange::Output { target: *target, stderr: *stderr, data };
            line(&RunEvent { what, ..event.clone() }, board.target(*target), pieces);
        }
    }
}

fn line(event: &RunEvent, host: Option<&RunTarget>, pieces: &mut Pieces) {
    // Every event has a JSON form; the types have no maps with keys other than text.
    if let Ok(mut line) = serde_json::to_vec(&Line { event, host }) {
        line.push(b'\n');
        pieces.push(Stream::Stdout, &line);
    }
}

impl View for JsonLines {
    fn on(&mut self, board: &Board, event: &RunEvent, pieces: &mut Pieces) {
        match &event.what {
            RunChange::Output { .. } => self.output(board, event, pieces),
            RunChange::Result(result) => {
                for stderr in [false, true] {
                    let begun = self.begun.remove(&(result.target, stderr)).filter(|begun| !begun.is_empty());
                    if let Some(begun) = begun {
                        let what = RunChange::Output { target: result.target, stderr, data: begun.into() };
                        let event = RunEvent { sequence: 0, time: event.time, what };
                        line(&event, board.target(result.target), pieces);
                    }
                }
                line(event, None, pieces);
            }
            _ => line(event, None, pieces),
        }
    }
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::TargetOutcome;
    use serde_json::{Value, json};

    use super::{
        super::{Keep, sample::Sample},
        *,
    };

    #[test]
    fn each_event_is_an_object_on_a_line_and_output_names_its_host() {
        let mut sample = Sample::new(["web-1"]);
        let events = [
            sample.started(),
            Sample::output(0, false, "gr\u{fc}\u{df}e".as_bytes()),
            Sample::output(0, true, b"\xff\xfe"),
            Sample::output(0, false, b"cut \xc3"),
            Sample::output(0, false, b"\xa4\n\xe2\x82"),
            sample.ended(0, TargetOutcome::Ok, "x"),
        ];
        let (mut board, mut pieces) = (Board::new(Keep::Nothing), Pieces::default());
        let mut view = JsonLines::default();
        for event in &events {
            board.take(event);
            view.on(&board, event, &mut pieces);
        }
        let text = pieces.text(Stream::Stdout);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["started", "output", "output", "output", "output", "output", "result"]);
        assert_eq!(lines[1]["name"], "web-1");
        assert_eq!(lines[1]["node_id"], "n-00000000000000000000");
        assert_eq!(lines[1]["data"], "gr\u{fc}\u{df}e");
        assert_eq!(lines[2]["data"], json!({ "base64": "//4=" }));
        assert_eq!([&lines[3]["data"], &lines[4]["data"]], ["cut ", "\u{e4}\n"]);
        assert_eq!(lines[5]["data"], json!({ "base64": "4oI=" }));
        assert_eq!((&lines[6]["outcome"], &lines[6]["stdout"]), (&json!("ok"), &json!("x")));
    }
}
