//! What the YAML parser finds wrong, in words that say what to do.

use serde_saphyr::granit_parser::ErrorKind;

/// The message, and the way out when there is one to tell.
pub(super) fn explain(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as E;
    let (message, help) = match kind {
        tab if is_tab(tab) => ("tab in the indentation", "indent with spaces"),
        E::ExpectedBlockMappingKey | E::ExpectedBlockSequenceEntry | E::InvalidIndentation => {
            ("the indentation fits nothing above", "indent it as much as the lines that it belongs to")
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement => {
            ("a ':' can't stand here", "put a value that contains ': ' in quotes, and check the indentation")
        }
        E::InvalidSimpleKey | E::SimpleKeyExpected => ("a key without ':'", "write KEY: VALUE"),
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar | E::InvalidQuotedScalarIndent => (
            "a text in quotes isn't closed",
            "close the quote, or indent the lines in which the text goes on",
        ),
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
            ("something follows the closing quote", "put the whole value in quotes")
        }
        E::UnknownQuotedScalarEscape => {
            ("no such escape", "write '\\\\' for a backslash, or use single quotes")
        }
        E::UnknownAnchor => {
            ("an alias without an anchor of its name", "anchors hold only within one document")
        }
        E::ExpectedDocumentStart => ("a '%' line without a line '---' after it", "leave the '%' line out"),
        E::MissingDocumentEndBeforeDirective => {
            ("a '%' line within a document", "end the document before it by a line '...'")
        }
        E::MisplacedFlowCollectionEnd => ("a bracket that nothing opens", "take it away"),
        E::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("'{open}' is closed by '{close}'"), None);
        }
        E::RecursionLimitExceeded => return too_deep(),
        E::UnclosedFlowCollection { open } => return (format!("'{open}' isn't closed"), None),
        E::UnexpectedCharacter { character } => {
            let message = format!("{character:?} can't begin a value");
            return (message, Some("put the value in quotes"));
        }
        other => return (format!("invalid YAML: {other}"), None),
    };
    (message.to_owned(), Some(help))
}

/// Whether the fault is a tab where only spaces may be.
pub(super) fn is_tab(kind: &ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(
        kind,
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabAtBlockScalarStart
    )
}

/// A document that is nested too deeply.
pub(super) fn too_deep() -> (String, Option<&'static str>) {
    (format!("nested deeper than {} levels", super::limits::DEPTH), None)
}
