//! Charts, as SVG files.

use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::{BLACK, RGBColor, WHITE};

use crate::http_client::BoxError;

/// How large a chart is, in pixels.
const SIZE: (u32, u32) = (900, 460);
/// The colours of lines and bars, in this order: such that colour-blind people tell them apart.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(160, 140, 0),
];

/// A chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be drawn", file.display())]
pub struct ChartError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub source: BoxError,
}

/// What is drawn of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points; what is nought or less is left out, since both axes are logarithmic.
    pub points: Vec<(f64, f64)>,
}

/// Bars that stand together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Each bar's height, in the order of the legend.
    pub bars: Vec<f64>,
}

/// What stands at a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    /// Above it.
    pub title: &'a str,
    /// Below it.
    pub across: &'a str,
    /// At its side.
    pub up: &'a str,
}

fn bounds(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = numbers
        .filter(|number| *number > 0.0)
        .fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), number| (least.min(number), most.max(number)));
    if least > most { (0.1, 1.0) } else { (least / 1.6, most * 1.6) }
}

/// A number as an axis has it: without what nobody reads.
fn label(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{} M", number / 1e6),
        number if number >= 1e3 => format!("{} k", number / 1e3),
        number => format!("{}", (number * 1e4).round() / 1e4),
    }
}

/// Draws lines, with both axes logarithmic.
///
/// # Errors
/// [`ChartError`] if the file cannot be written.
pub fn lines(file: &Path, words: Words<'_>, series: &[Series]) -> Result<(), ChartError> {
    written(file, || {
        let root = SVGBackend::new(file, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let points = || series.iter().flat_map(|series| series.points.iter().copied());
        let (x, y) = (bounds(points().map(|(x, _)| x)), bounds(points().map(|(_, y)| y)));
        let mut chart = ChartBuilder::on(&root)
            .caption(words.title, ("sans-serif", 20))
            .margin(12)
            .margin_right(30)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(words.across).y_desc(words.up).x_label_formatter(&|x| label(*x)).y_label_formatter(&|y| label(*y));
        mesh.light_line_style(WHITE).draw()?;
        for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<(f64, f64)> = series.points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
                .label(series.name.as_str())
                .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        }
        with_legend(&mut chart)?;
        root.present()?;
        Ok(())
    })
}

/// Draws groups of bars, of which `legend` says what each stands for.
///
/// # Errors
/// [`ChartError`] if the file cannot be written.
pub fn bars(file: &Path, words: Words<'_>, legend: &[&str], groups: &[Group]) -> Result<(), ChartError> {
    written(file, || {
        let root = SVGBackend::new(file, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let y = bounds(groups.iter().flat_map(|group| group.bars.iter().copied()));
        let width = u32::try_from(groups.len())?;
        let mut chart = ChartBuilder::on(&root)
            .caption(words.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..f64::from(width), (y.0..y.1).log_scale())?;
        let name = |x: &f64| {
            // Names stand in the middle of their groups.
            let at = groups.iter().zip(0_u32..).find(|(_, at)| (f64::from(*at) + 0.5 - x).abs() < 1e-6);
            at.map(|(group, _)| group.name.clone()).unwrap_or_default()
        };
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().y_desc(words.up).x_desc(words.across).x_labels(2 * groups.len() + 1);
        mesh.x_label_formatter(&name).y_label_formatter(&|y| label(*y)).light_line_style(WHITE).draw()?;
        let step = 0.84 / f64::from(u32::try_from(legend.len().max(1))?);
        for ((name, colour), number) in legend.iter().zip(COLOURS.iter().cycle()).zip(0_u32..) {
            let bar = |(at, group): (u32, &Group)| {
                let height = group.bars.get(usize::try_from(number).ok()?).copied().filter(|height| *height > 0.0)?;
                let left = f64::from(at) + 0.08 + step * f64::from(number);
                Some(Rectangle::new([(left, y.0), (left + step * 0.92, height)], colour.filled()))
            };
            chart
                .draw_series((0_u32..).zip(groups).filter_map(bar))?
                .label(*name)
                .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        }
        with_legend(&mut chart)?;
        root.present()?;
        Ok(())
    })
}

fn with_legend<'a, C: CoordTranslate>(chart: &mut ChartContext<'a, SVGBackend<'a>, C>) -> Result<(), BoxError> {
    let mut legend = chart.configure_series_labels();
    legend.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).position(SeriesLabelPosition::UpperRight).draw()?;
    Ok(())
}

fn written(file: &Path, draw: impl FnOnce() -> Result<(), BoxError>) -> Result<(), ChartError> {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(BoxError::from);
    folder.and_then(|()| draw()).map_err(|source| ChartError { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words<'_> = Words { title: "a title", across: "events", up: "ms" };

    #[test]
    fn charts_are_svg_with_their_words_and_names() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("new/lines.svg"), folder.path().join("bars.svg"));
        let series = [Series { name: "create".to_owned(), points: vec![(1e3, 0.5), (1e6, 0.7), (0.0, 1.0)] }];
        lines(&one, WORDS, &series).unwrap();
        bars(&two, WORDS, &["ours", "theirs"], &[Group { name: "append".to_owned(), bars: vec![1.0, 0.0] }]).unwrap();
        for (file, words) in [(one, ["a title", "create", "1 M"]), (two, ["a title", "theirs", "append"])] {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.starts_with("<svg"));
            for word in words {
                assert!(text.contains(word), "{word}");
            }
        }
    }
}
