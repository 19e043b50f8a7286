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
    let source = " ".repeat(clipped) + &place.text;
    let byte = |column: usize| source.char_indices().nth(column).map_or(source.len(), |(byte, _)| byte);
    let start = place.column.saturating_sub(1) as usize;
    let span = byte(start)..byte(start + place.length as usize);
    let annotation: Annotation<'a> = kind.span(span).label(label);
    let snippet = Snippet::source(source).line_start(place.line as usize).path(&*place.source);
    group.element(snippet.annotation(annotation))
}

/// Control characters as their escapes, so that an input can't steer a terminal.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
