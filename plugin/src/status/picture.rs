//! The picture of a status in the documentation: what a terminal shows, as an SVG for light and dark pages.

use std::fmt::Write as _;

/// Width of a character, height of a line, and the border, in the units of the picture.
const SIZES: (usize, usize, usize) = (8, 18, 16);

/// Colours of light and of dark pages for the codes of a terminal.
const COLORS: [(&str, &str, &str); 6] = [
    ("31", "#cf222e", "#ff7b72"),
    ("32", "#1a7f37", "#3fb950"),
    ("33", "#9a6700", "#d29922"),
    ("35", "#8250df", "#bc8cff"),
    ("36", "#0969da", "#79c0ff"),
    ("1", "#1f2328; font-weight: 600", "#f0f6fc"),
];

/// Draws a text with the colours of a terminal.
pub fn draw(title: &str, text: &str) -> String {
    let (character, line, border) = SIZES;
    let plain = |line: &str| pieces(line).map(|(_, words)| words.chars().count()).sum();
    let columns: usize = text.lines().map(plain).max().unwrap_or(0);
    let (width, height) = (
        columns * character + 2 * border,
        text.lines().count() * line + 2 * border,
    );
    let styles = |of: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        let rules = COLORS
            .iter()
            .map(|color| format!(".c{} {{ fill: {}; }}", color.0, of(color)));
        rules.collect::<Vec<_>>().join(" ")
    };
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{}</title>\n\
         <style>\n\
         text {{ font: 13px ui-monospace, monospace; fill: #1f2328; white-space: pre; }} .page {{ fill: #f6f8fa; stroke: #d1d9e0; }}\n\
         {}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #f0f6fc; }} .page {{ fill: #151b23; stroke: #3d444d; }}\n\
         {}\n\
         }}\n\
         </style>\n\
         <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        escaped(title),
        styles(|color| color.1),
        styles(|color| color.2),
        width - 1,
        height - 1,
    );
    for (row, words) in text.lines().enumerate() {
        let y = border + row * line + line * 3 / 4;
        let mut column = 0;
        let _ = write!(picture, "<text y=\"{y}\">");
        for (code, words) in pieces(words) {
            let length = words.chars().count();
            // Each piece has its place and its length, whatever font there is.
            let (x, length_units) = (border + column * character, length * character);
            let class = code.map_or(String::new(), |code| format!(" class=\"c{code}\""));
            let _ = write!(
                picture,
                "<tspan x=\"{x}\" textLength=\"{length_units}\" lengthAdjust=\"spacingAndGlyphs\"{class}>{}</tspan>",
                escaped(words)
            );
            column += length;
        }
        picture += "</text>\n";
    }
    picture + "</svg>\n"
}

/// The pieces of a line, each with the code of its colour.
fn pieces(line: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().map(|words| (None, words));
    let colored = pieces.filter_map(|piece| piece.strip_prefix('[')?.split_once('m'));
    let colored = colored.map(|(code, words)| (Some(code).filter(|code| *code != "0"), words));
    first
        .into_iter()
        .chain(colored)
        .filter(|(_, words)| !words.is_empty())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
