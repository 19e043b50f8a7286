//! `--output`: the same data as a table, JSON or YAML.

use std::io::{ErrorKind, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How data is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "text")]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// The flag.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// How to show the result; times are RFC 3339 in UTC
    #[arg(long, short = 'o', value_enum, env = "AEGIS_OUTPUT", default_value = "table", hide_env = true)]
    pub output: Format,
}

impl OutputArgs {
    /// Shows `data`: as JSON or YAML as it is, else by `table`.
    pub fn show<T: Serialize + ?Sized>(
        self,
        data: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Format::Table => print(&table(data)),
            Format::Json => print(&json(data)?),
            Format::Yaml => print(&yaml(data)?),
        }
    }
    /// Whether people read it.
    pub fn is_table(self) -> bool {
        self.output == Format::Table
    }
}

/// Indented JSON with a newline at the end.
pub fn json<T: Serialize + ?Sized>(data: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(data).map_err(|e| Failure::generic(format!("not JSON: {e}")))?;
    Ok(text + "\n")
}

/// YAML with a newline at the end.
pub fn yaml<T: Serialize + ?Sized>(data: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(&data).map_err(|e| Failure::generic(format!("not YAML: {e}")))
}

/// Writes `text` to stdout as it is. A reader that has gone away, such as `head`, ends the output silently.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::generic(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// A plain table: upper-case heads, two spaces between columns, nothing a script would stumble over.
pub fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads);
    for row in rows {
        table.add_row(row.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// `key: value` lines with the values under each other.
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<_> = fields.into_iter().collect();
    let width = fields.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    fields.iter().fold(String::new(), |text, (name, value)| {
        text + format!("{:width$} {value}", format!("{name}:")).trim_end() + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_boring() {
        let rows = [["a".to_owned(), "long value".to_owned()], ["bcd".to_owned(), String::new()]];
        assert_eq!(table(["ONE", "TWO"], rows), "ONE  TWO\na    long value\nbcd  -\n");
        assert_eq!(table(["ONE"], []), "ONE\n");
    }

    #[test]
    fn fields_stand_under_each_other() {
        assert_eq!(fields([("a", "1".into()), ("long", "2".into())]), "a:    1\nlong: 2\n");
    }
}
