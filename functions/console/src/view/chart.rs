//! Charts, drawn on the server: bars that stand on each other, and lines as small as a word.
//!
//! A chart is an image with a description, and the figures are in a table below it, for those who cannot see it or want to
//! know exactly. Colours come from the stylesheet, by class.

use maud::{Markup, PreEscaped, html};
use std::fmt::Write as _;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 200;
const LEFT: u64 = 44;
const BOTTOM: u64 = 24;
const TOP: u64 = 8;

/// What is counted: its name and the class that colours it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    /// What is counted.
    pub(crate) name: &'static str,
    /// The class that colours it: `good`, `bad`, `wary`, `busy`, `quiet`.
    pub(crate) class: &'static str,
}

/// One bar: what it is of, and how much of each series.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// What stands below it.
    pub(crate) label: String,
    /// As many values as there are series.
    pub(crate) values: Vec<u64>,
}

/// Bars over time.
#[derive(Debug, Clone)]
pub(crate) struct Chart<'a> {
    /// What it shows.
    pub(crate) title: &'a str,
    /// What is counted, from the bottom up.
    pub(crate) series: &'a [Series],
    /// The bars, first to last.
    pub(crate) bars: Vec<Bar>,
}

impl Chart<'_> {
    fn most(&self) -> u64 {
        self.bars.iter().map(|bar| bar.values.iter().sum()).max().unwrap_or(0)
    }

    /// The chart, its legend and its figures.
    pub(crate) fn draw(&self) -> Markup {
        let totals: Vec<u64> = (0..self.series.len())
            .map(|at| self.bars.iter().filter_map(|bar| bar.values.get(at)).sum())
            .collect();
        let description: Vec<String> = self
            .series
            .iter()
            .zip(&totals)
            .map(|(series, total)| format!("{total} {}", series.name))
            .collect();
        html! {
            figure class="chart" {
                figcaption {
                    span class="title" { (self.title) }
                    ul class="legend" {
                        @for (series, total) in self.series.iter().zip(&totals) {
                            li { span class={ "swatch " (series.class) } {} (series.name) " " strong { (total) } }
                        }
                    }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (self.title) ": " (description.join(", ")) } {
                    (PreEscaped(self.drawing()))
                }
                details {
                    summary { "Figures" }
                    div class="table" { table {
                        caption class="unseen" { (self.title) }
                        thead { tr { th scope="col" { "When" } @for series in self.series { th scope="col" { (series.name) } } } }
                        tbody {
                            @for bar in self.bars.iter().filter(|bar| bar.values.iter().any(|value| *value > 0)) {
                                tr { th scope="row" { (bar.label) } @for value in &bar.values { td { (value) } } }
                            }
                        }
                    } }
                }
            }
        }
    }

    /// The inside of the SVG. Everything in it is numbers and our own words, save the labels, which are times.
    fn drawing(&self) -> String {
        let (scale, step) = scale(self.most());
        let height = HEIGHT - BOTTOM - TOP;
        let base = HEIGHT - BOTTOM;
        let up = |value: u64| base - value * height / scale;
        let mut svg = String::new();
        for at in (0..=scale).step_by(usize::try_from(step).unwrap_or(1).max(1)) {
            let y = up(at);
            // Writing to a `String` cannot fail.
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{at}</text>",
                LEFT - 6,
                y + 4
            );
        }
        let count = u64::try_from(self.bars.len()).unwrap_or(1).max(1);
        // In tenths of a unit: bars are to end where the chart does.
        let pitch = (WIDTH - LEFT) * 10 / count;
        let gap = (pitch / 5).min(40);
        let every = count.div_ceil(8);
        for (index, bar) in (0_u64..).zip(&self.bars) {
            let left = LEFT * 10 + index * pitch + gap / 2;
            let width = pitch.saturating_sub(gap).max(10);
            let mut under = 0;
            for (series, value) in self.series.iter().zip(&bar.values) {
                if *value == 0 {
                    continue;
                }
                let (top, bottom) = (up(under + value), up(under));
                // What is there is seen, however little it is.
                let tall = (bottom - top).max(1);
                let _ = write!(
                    svg,
                    "<rect class=\"{}\" x=\"{}.{}\" y=\"{}\" width=\"{}.{}\" height=\"{tall}\" rx=\"1\"/>",
                    series.class,
                    left / 10,
                    left % 10,
                    bottom - tall,
                    width / 10,
                    width % 10
                );
                under += value;
            }
            if index % every == 0 {
                let middle = (left + width / 2) / 10;
                let label = maud::html! { (bar.label) }.into_string();
                let _ = write!(
                    svg,
                    "<text class=\"axis\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    HEIGHT - 6
                );
            }
        }
        svg
    }
}

/// The top of the scale for values up to `most`, and its step: round numbers, of which there are three to five.
fn scale(most: u64) -> (u64, u64) {
    let mut unit = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let step = unit.saturating_mul(factor);
            if step.saturating_mul(4) >= most {
                return (step * most.div_ceil(step).max(1), step);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A course of values, as small as a word; `name` says of what.
pub(crate) fn sparkline(name: &str, values: &[u64]) -> Markup {
    const WIDE: u64 = 96;
    const HIGH: u64 = 24;
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let count = u64::try_from(values.len()).unwrap_or(1).max(1);
    let total: u64 = values.iter().sum();
    html! {
        svg class="sparkline" viewBox={ "0 0 " (WIDE) " " (HIGH) } width=(WIDE) height=(HIGH) role="img" aria-label={ (name) ": " (total) } {
            @for (index, value) in (0_u64..).zip(values) {
                @let tall = (value * HIGH).div_ceil(most);
                rect x=(index * WIDE / count) y=(HIGH - tall.max(1)) width=((WIDE / count).saturating_sub(1).max(1)) height=(tall.max(1)) class=(if *value == 0 { "none" } else { "busy" }) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_on_a_round_number_above_everything() {
        for (most, expected) in [
            (0, (1, 1)),
            (1, (1, 1)),
            (4, (4, 1)),
            (7, (8, 2)),
            (12, (15, 5)),
            (999, (1000, 500)),
            (1234, (1500, 500)),
        ] {
            assert_eq!(scale(most), expected, "{most}");
        }
        let (top, step) = scale(u64::MAX / 100);
        assert!(top >= u64::MAX / 100 && top / step <= 5);
    }

    #[test]
    fn bars_stay_within_the_drawing_whatever_they_count() {
        let series = [Series { name: "delivered", class: "good" }, Series { name: "failed", class: "bad" }];
        for count in [1, 24, 30, 365] {
            let bars = (0..count).map(|at| Bar { label: format!("{at}"), values: vec![at * 7, 1] }).collect();
            let drawing = Chart { title: "x", series: &series, bars }.drawing();
            for rect in drawing.split("<rect").skip(1) {
                let number = |name: &str| {
                    let from = rect.split(&format!(" {name}=\"")).nth(1).unwrap();
                    from.split('"').next().unwrap().parse::<f64>().unwrap()
                };
                assert!(number("x") + number("width") <= 721.0 && number("y") >= 0.0, "{count}: {rect}");
                assert!(number("y") + number("height") <= 177.0, "{count}: {rect}");
            }
        }
    }
}
