//! Shows a diagnostic as a compiler does: the message, the place, the line with a caret under the spot, the way out.

use aegis_core::diagnostic::{Diagnostic, Place, Severity};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

/// The text of `diagnostic`, without a line break at its end; with escape codes for colour if `color`.
///
/// Of an input it shows nothing but the lines of the places, clipped to [`Place::WIDTH`], with control characters
/// made visible.
pub fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(visible(&diagnostic.message)));
    if let Some(place) = &diagnostic.place {
        let label = diagnostic.label.as_deref().map(visible);
        group = show(group, place, AnnotationKind::Primary, label);
    }
    for (place, what) in &diagnostic.related {
        group = show(group, place, AnnotationKind::Context, Some(visible(what)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn show<'a>(group: Group<'a>, place: &'a Place, kind: AnnotationKind, label: Option<String>) -> Group<'a> {
    // The renderer counts the columns itself, so what was clipped in front is filled with blanks, which it cuts away.
    let clipped = place.text_column.saturating_sub(1) as usize;
    // It shows the control characters of ASCII, and those that turn the direction of writing, by itself.
    let text = place.text.replace(|c: char| c.is_control() && !c.is_ascii(), "\u{fffd}");
    let source = " ".repeat(clipped) + &text;
    let byte = |column: usize| source.char_indices().nth(column).map_or(source.len(), |(byte, _)| byte);
    let start = place.column.saturating_sub(1) as usize;
    let span = byte(start)..byte(start + place.length as usize);
    let annotation: Annotation<'a> = kind.span(span).label(label);
    let snippet = Snippet::source(source).line_start(place.line as usize).path(visible(&place.source));
    group.element(snippet.annotation(annotation))
}

/// Control characters and those that turn the direction of writing as their escapes, so that an input can't steer
/// a terminal.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(c.escape_unicode());
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\rb";
        let place = Place::in_line(format!("{hostile}.yaml").into(), 3, 2, 4, hostile);
        let diagnostic =
            Diagnostic::error(hostile).at(place.clone()).label(hostile).help(hostile).related(place, hostile);
        let shown = render(&diagnostic, false);
        let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(steers), "{shown:?}");
    }

    #[test]
    fn a_warning_and_what_has_no_place() {
        let place = Place::in_line("a.yaml".into(), 3, 2, 1, "\tx: 1");
        let shown = render(&Diagnostic::warning("a literal secret").at(place).label("here"), false);
        assert_eq!(shown, "warning: a literal secret\n --> a.yaml:3:2\n  |\n3 |     x: 1\n  |     ^ here");
        assert_eq!(
            render(&Diagnostic::error("nothing").help("something"), false),
            "error: nothing\n |\n = help: something"
        );
    }
}
