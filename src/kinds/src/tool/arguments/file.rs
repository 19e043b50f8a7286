//! Files and directories. Paths are absolute; whether a symlink leaves what is granted, the kernel decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most bytes that one `fs.read` gives.
pub const LARGEST_READ: u64 = 1 << 20;
/// The most entries or lines that a listing or a search gives.
pub const MOST_ENTRIES: u32 = 10_000;

/// How a file's bytes stand in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    #[default]
    Utf8,
    /// In base64.
    Base64,
}

/// `fs.read`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsRead {
    /// The file: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// How many bytes to skip.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes to read at most; 1 MiB is the most.
    #[schemars(range(min = 1, max = 1_048_576))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// utf8, or base64 for files that aren't text.
    #[serde(default)]
    pub encoding: Encoding,
}

/// `fs.list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsList {
    /// The directory: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// Whether to go into the directories below.
    #[serde(default)]
    pub recursive: bool,
    /// How many entries at most; 10000 is the most.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `fs.glob`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsGlob {
    /// The directory to look in: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// What the paths below it look like, such as `**/*.log`.
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: String,
    /// How many paths at most; 10000 is the most.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `fs.grep`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsGrep {
    /// The file, or the directory to look in: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// A regular expression; a line that it matches somewhere is shown.
    #[schemars(length(min = 1, max = 4096))]
    pub pattern: String,
    /// Only files whose paths below the directory look like this, such as `*.conf`.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// How many lines at most; 10000 is the most.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `fs.write`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsWrite {
    /// The file: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// All that is to be in it.
    pub content: String,
    /// How the content is written: utf8, or base64 for files that aren't text.
    #[serde(default)]
    pub encoding: Encoding,
    /// The mode in octal, such as 0644. Without it: that of the file that is replaced, else 0644.
    #[schemars(regex(pattern = "^0?[0-7]{3,4}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether to make the directories that lead to it.
    #[serde(default)]
    pub create_parents: bool,
    /// Whether a file that is there may be replaced.
    #[serde(default = "yes")]
    pub overwrite: bool,
}

fn yes() -> bool {
    true
}

/// `fs.edit`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsEdit {
    /// The file: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// The text to replace. It must stand in the file exactly once, unless all are to be replaced.
    #[schemars(length(min = 1))]
    pub old: String,
    /// The text to put there.
    pub new: String,
    /// Whether to replace it wherever it stands.
    #[serde(default)]
    pub all: bool,
}

/// `fs.create_dir`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsCreateDir {
    /// The directory: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// The mode in octal. Without it: 0755.
    #[schemars(regex(pattern = "^0?[0-7]{3,4}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether to make the directories that lead to it.
    #[serde(default)]
    pub parents: bool,
}

/// `fs.delete`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsDelete {
    /// The file or directory: an absolute path.
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub path: String,
    /// Whether a directory goes with all that is in it.
    #[serde(default)]
    pub recursive: bool,
}
