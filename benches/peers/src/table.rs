//! Prints the table, or its rows as JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::{
    Outcome,
    engines::Kind,
    figures::{Figure, float, median_of},
    rows::{Goal, Row},
    run::Results,
    settings::{Format, Settings},
    workload::Work,
};

pub(crate) fn print(settings: &Settings, results: &Results) -> Outcome<()> {
    let mut output = io::stdout().lock();
    let judge = Judge { settings, results };
    if settings.format == Format::Json {
        for row in &settings.rows {
            writeln!(output, "{}", judge.json(row))?;
        }
        return Ok(());
    }
    let Settings { rounds, seconds, size, .. } = settings;
    let (streams, events) = (size.streams, size.events());
    writeln!(output, "medians of {rounds}, {seconds} s each; {events} events in {streams} streams\n")?;
    write!(output, "{:<39}", "")?;
    for engine in &settings.engines {
        write!(output, "{:>10}", engine.name())?;
    }
    writeln!(output, "{:>15}  {:<26}reached", "ratio", "goal")?;
    for row in &settings.rows {
        write!(output, "{:<39}", format!("{}, {}", row.name, row.figure.unit()))?;
        for engine in &settings.engines {
            let figure = judge.median(row.work, *engine, row.figure);
            write!(output, "{:>10}", figure.map_or("-".to_owned(), |figure| digits(figure, row.figure)))?;
        }
        let judgement = judge.judge(row);
        writeln!(
            output,
            "{:>15}  {:<26}{}",
            judgement.ratio_text(),
            judgement.goal,
            judgement.reached_text()
        )?;
    }
    Ok(())
}

/// A figure in its unit.
fn digits(figure: f64, kind: Figure) -> String {
    let value = figure / kind.divisor();
    match kind {
        Figure::EventsPerSecond | Figure::Disk | Figure::P50 | Figure::P99 => format!("{value:.0}"),
        Figure::Open | Figure::Memory => format!("{value:.2}"),
    }
}

struct Judge<'a> {
    settings: &'a Settings,
    results: &'a Results,
}

/// Whether Annals does what was asked.
struct Judgement {
    /// To whom, and how many times as much.
    ratio: Option<(String, f64)>,
    goal: String,
    is_reached: Option<bool>,
}

impl Judgement {
    fn ratio_text(&self) -> String {
        self.ratio.as_ref().map_or("-".to_owned(), |(to, ratio)| format!("{ratio:.2} x {to}"))
    }

    fn reached_text(&self) -> &'static str {
        match self.is_reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        }
    }
}

impl Judge<'_> {
    fn all(&self, work: Work, engine: Kind, figure: Figure) -> Vec<f64> {
        let figures = self.results.get(&(work, engine)).map_or(&[][..], Vec::as_slice);
        figures.iter().filter_map(|figures| figures.get(figure)).collect()
    }

    fn median(&self, work: Work, engine: Kind, figure: Figure) -> Option<f64> {
        median_of(self.all(work, engine, figure))
    }

    /// The best other store at a work, by its median.
    fn best_peer(&self, work: Work, figure: Figure) -> Option<Kind> {
        let peers = self.settings.engines.iter().filter(|engine| engine.is_peer());
        let mut medians: Vec<(f64, Kind)> =
            peers.filter_map(|peer| Some((self.median(work, *peer, figure)?, *peer))).collect();
        medians.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        let best = if figure.is_better_if_less() { medians.first() } else { medians.last() };
        best.map(|(_, peer)| *peer)
    }

    /// The median of the rounds' ratios of Annals to an engine at a work.
    fn ratio_to(&self, row: &Row, engine: Kind, work: Work) -> Option<f64> {
        let own = self.all(row.work, Kind::Annals, row.figure);
        let others = self.all(work, engine, row.figure);
        median_of(own.iter().zip(&others).map(|(own, other)| own / other))
    }

    fn judge(&self, row: &Row) -> Judgement {
        let peer_at = |work: Work| {
            let peer = self.best_peer(work, row.figure)?;
            Some((peer.name().to_owned(), self.ratio_to(row, peer, work)?))
        };
        let (ratio, limit) = match row.goal {
            Goal::TimesRaw(_) | Goal::AtMostTimesRaw(_) => {
                let ratio = self.ratio_to(row, Kind::Raw, row.work);
                (ratio.map(|ratio| (Kind::Raw.name().to_owned(), ratio)), None)
            }
            Goal::TimesOwn(_, work) => {
                let ratio = self.ratio_to(row, Kind::Annals, work);
                (ratio.map(|ratio| ("its own".to_owned(), ratio)), None)
            }
            Goal::TimesBestAt(_, work) => (peer_at(work), None),
            Goal::TimesBest(_) | Goal::None => (peer_at(row.work), None),
            Goal::AtLeast(limit) | Goal::AtMost(limit) => (peer_at(row.work), Some(limit)),
            Goal::BytesAndAStream(bytes, a_stream) => {
                (peer_at(row.work), Some(bytes + a_stream * float(self.settings.size.streams)))
            }
        };
        let own = self.median(row.work, Kind::Annals, row.figure);
        let times = ratio.as_ref().map(|(_, ratio)| *ratio);
        let (goal, is_reached) = match (row.goal, limit) {
            (Goal::TimesRaw(goal), _) => (format!(">= {goal} x raw"), times.map(|times| times >= goal)),
            (Goal::AtMostTimesRaw(goal), _) => (format!("<= {goal} x raw"), times.map(|times| times <= goal)),
            (Goal::TimesBest(goal), _) => (format!(">= {goal} x the best"), times.map(|times| times >= goal)),
            (Goal::TimesBestAt(goal, _), _) => {
                (format!(">= {goal} x the best append"), times.map(|times| times >= goal))
            }
            (Goal::TimesOwn(goal, _), _) => {
                (format!(">= {goal} x 1 thread"), times.map(|times| times >= goal))
            }
            (Goal::AtLeast(_), Some(limit)) => {
                (format!(">= {}", digits(limit, row.figure)), own.map(|own| own >= limit))
            }
            (_, Some(limit)) => (format!("<= {}", digits(limit, row.figure)), own.map(|own| own <= limit)),
            (_, None) => ("-".to_owned(), None),
        };
        Judgement { ratio, goal, is_reached }
    }

    fn json(&self, row: &Row) -> Value {
        let judgement = self.judge(row);
        let mut engines = Map::new();
        for engine in &self.settings.engines {
            let rounds = self.all(row.work, *engine, row.figure);
            if let Some(median) = median_of(rounds.iter().copied()) {
                engines.insert(engine.name().to_owned(), json!({ "median": median, "rounds": rounds }));
            }
        }
        let (ratio_to, ratio) = judgement.ratio.unzip();
        json!({
            "row": row.name,
            "unit": row.figure.unit(),
            "unit_divisor": row.figure.divisor(),
            "engines": engines,
            "ratio": ratio,
            "ratio_to": ratio_to,
            "goal": judgement.goal,
            "is_reached": judgement.is_reached,
        })
    }
}
