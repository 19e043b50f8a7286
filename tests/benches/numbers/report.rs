//! Rows of numbers: a table for people, JSON lines for programs, and the part of `docs/specification.md` that is made
//! from them.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde::Serialize;

use crate::{child, machine};

/// One number.
#[derive(Debug, Serialize)]
pub struct Row {
    bench: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    peer: Option<Peer>,
    /// The number over the peer's.
    ratio: Option<f64>,
    goal: Option<String>,
    met: Option<bool>,
}

/// What the number stands next to, measured in the same run.
#[derive(Debug, Serialize)]
struct Peer {
    what: &'static str,
    value: f64,
}

impl Row {
    pub fn new(bench: &'static str, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { bench, what: what.into(), value, unit, peer: None, ratio: None, goal: None, met: None }
    }

    /// Next to another's number in the same unit.
    pub fn beside(mut self, what: &'static str, value: f64) -> Self {
        self.ratio = Some(self.value / value);
        self.peer = Some(Peer { what, value });
        self
    }

    /// The number shall be at most this.
    pub fn at_most(mut self, limit: f64) -> Self {
        self.goal = Some(format!("≤ {limit} {}", self.unit));
        self.met = Some(self.value <= limit);
        self
    }

    /// The number shall be at most this many times the peer's.
    pub fn at_most_times(mut self, limit: f64) -> Self {
        self.goal = Some(format!("≤ {limit} × the peer"));
        self.met = Some(self.ratio.is_some_and(|ratio| ratio <= limit));
        self
    }

    fn cells(&self) -> [String; 6] {
        let number = |value: f64| match value.abs() {
            0.0..0.1 => format!("{value:.4}"),
            0.1..10.0 => format!("{value:.2}"),
            10.0..100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        };
        let unit = |value: f64| format!("{} {}", number(value), self.unit);
        let (peer, ratio) = match (&self.peer, self.ratio) {
            (Some(peer), Some(ratio)) => {
                (format!("{} ({})", unit(peer.value), peer.what), format!("{ratio:.2}"))
            }
            _ => (String::new(), String::new()),
        };
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        [
            self.what.clone(),
            unit(self.value),
            peer,
            ratio,
            self.goal.clone().unwrap_or_default(),
            met.to_owned(),
        ]
    }
}

/// All rows of a run.
pub struct Report {
    machine: String,
    date: String,
    rows: Vec<Row>,
    remarks: Vec<String>,
}

const HEADINGS: [&str; 6] = ["what", "here", "peer, same run", "ratio", "goal", "met"];
const BEGIN: &str = "<!-- numbers: made by `AEGIS_BENCH_WRITE=1 make bench` -->";
const END: &str = "<!-- end of numbers -->";

impl Report {
    pub fn new() -> Self {
        let date = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        let machine = machine::kind();
        println!("{date}, {machine}\n");
        Self { machine, date, rows: Vec::new(), remarks: Vec::new() }
    }

    /// Takes a number, and prints it at once: a run takes minutes.
    pub fn add(&mut self, row: Row) {
        println!("{}", row.cells().join(" | "));
        self.rows.push(row);
    }

    /// Takes something that whoever reads the numbers has to know.
    pub fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        println!("remark: {remark}");
        self.remarks.push(remark);
    }

    /// Prints the table, keeps the lines, and writes the specification if that is wished.
    pub fn finish(self) {
        let table = self.table();
        println!("\n{table}");
        self.keep();
        if machine::setting("AEGIS_BENCH_WRITE", 0) == 1 {
            self.write_specification(&table);
        }
    }

    fn table(&self) -> String {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if index == 0 {
                for width in &widths {
                    let _ = write!(text, "|{:-<1$}", "", width + 2);
                }
                text.push_str("|\n");
            }
        }
        for remark in &self.remarks {
            let _ = write!(text, "\n{remark}\n");
        }
        text
    }

    /// One JSON lines file a bench, beside the programs' folder.
    fn keep(&self) {
        let folder = child::programs().with_file_name("bench");
        fs::create_dir_all(&folder).unwrap();
        let mut files: Vec<(&str, String)> = Vec::new();
        for row in &self.rows {
            let mut line = serde_json::to_value(row).unwrap();
            line["date"] = self.date.clone().into();
            line["machine"] = self.machine.clone().into();
            if files.last().is_none_or(|(name, _)| *name != row.bench) {
                files.push((row.bench, String::new()));
            }
            if let Some((_, text)) = files.last_mut() {
                let _ = writeln!(text, "{line}");
            }
        }
        for (name, text) in files {
            fs::write(folder.join(name).with_extension("jsonl"), text).unwrap();
        }
    }

    fn write_specification(&self, table: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/specification.md");
        let old = fs::read_to_string(&path).unwrap();
        let (before, rest) = old.split_once(BEGIN).expect("the specification has a place for the numbers");
        let (_, after) = rest.split_once(END).expect("the place has an end");
        let numbers = format!("{BEGIN}\nMeasured {} on {}.\n\n{table}\n{END}", self.date, self.machine);
        fs::write(&path, format!("{before}{numbers}{after}")).unwrap();
    }
}
