//! Numbers that change from step to step: weights of the objective, the capacity, the learning rate.
//!
//! | text                      | value at step t of T                                                        |
//! |---------------------------|-----------------------------------------------------------------------------|
//! | `4`                       | 4                                                                           |
//! | `linear:20:1`             | from 20 to 1 over the run                                                   |
//! | `linear:0:25:4000`        | from 0 to 25 over 4,000 steps, then 25                                      |
//! | `cosine:20:1[:STEPS]`     | the same with a smooth start and end: half a wave of the cosine             |
//! | `cyclic:0:1:2000`         | every 2,000 steps: from 0 to 1 in the first half, then 1 (Fu et al. 2019)   |
//! | `piecewise:0=20,500=4,2000=1` | lines between these points, level before the first and after the last   |
//! | `steps:0=1e-3,2000=1e-4`  | 1e-3 up to step 1,999, 1e-4 from step 2,000 on                              |
//!
//! Each may go up or down. Nothing is saved of a schedule: the step says all, so a resumed run is exact.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A number as a function of the step.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// From one value to another in equal steps.
    Linear(Ramp),
    /// From one value to another along half a cosine.
    Cosine(Ramp),
    /// Up, or down, in the first half of each period, then level.
    Cyclic {
        /// At the start of a period.
        from: f64,
        /// From the middle of a period on.
        to: f64,
        /// Steps of a period.
        period: u64,
    },
    /// Lines between points (step, value), the steps ascending.
    Piecewise(Vec<(u64, f64)>),
    /// Level from each point (step, value) to the next, the steps ascending.
    Steps(Vec<(u64, f64)>),
}

/// From one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// At step 0.
    pub from: f64,
    /// At the end.
    pub to: f64,
    /// Steps until the end; `None` for the whole run.
    pub steps: Option<u64>,
}

impl Ramp {
    /// The part of the way from `from` to `to` that lies behind step `step`, 0 to 1.
    fn part(&self, step: u64, total: u64) -> f64 {
        // The last step of a run is number total - 1.
        let steps = self.steps.unwrap_or(total.saturating_sub(1)).max(1);
        (step as f64 / steps as f64).min(1.0)
    }

    fn at(&self, part: f64) -> f64 {
        self.from + (self.to - self.from) * part
    }
}

impl Schedule {
    /// The value in step `step`, from 0, of a run of `total` steps.
    pub fn at(&self, step: u64, total: u64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Linear(ramp) => ramp.at(ramp.part(step, total)),
            Self::Cosine(ramp) => ramp.at(0.5 - 0.5 * (std::f64::consts::PI * ramp.part(step, total)).cos()),
            Self::Cyclic { from, to, period } => {
                let ramp = Ramp { from: *from, to: *to, steps: Some(period.div_ceil(2)) };
                ramp.at(ramp.part(step % period, total))
            }
            Self::Steps(points) => {
                let after = points.partition_point(|&(at, _)| at <= step);
                // Before the first point, its value; without points, nothing is said.
                points.get(after.saturating_sub(1)).map_or(f64::NAN, |&(_, value)| value)
            }
            Self::Piecewise(points) => {
                let after = points.partition_point(|&(at, _)| at <= step);
                match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
                    (Some((start, from)), Some(&(end, to))) => Ramp { from, to, steps: Some(end - start) }
                        .at((step - start) as f64 / (end - start) as f64),
                    (Some((_, value)), None) | (None, Some(&(_, value))) => value,
                    // Without points, nothing is said.
                    (None, None) => f64::NAN,
                }
            }
        }
    }

    /// The steps that it was written for; `None` where any number will do.
    pub fn steps(&self) -> Option<u64> {
        match self {
            Self::Constant(_) => None,
            Self::Linear(ramp) | Self::Cosine(ramp) => ramp.steps,
            Self::Cyclic { period, .. } => Some(*period),
            Self::Piecewise(points) | Self::Steps(points) => points.last().map(|&(step, _)| step),
        }
    }

    /// The schedule that takes the same values in a run of any length as this one in a run of `total` steps; `None` where it
    /// is the same already.
    pub fn of_length(&self, total: u64) -> Option<Self> {
        // The last step of a run is number total - 1.
        let steps = Some(total.saturating_sub(1).max(1));
        match self {
            Self::Linear(ramp @ Ramp { steps: None, .. }) => Some(Self::Linear(Ramp { steps, ..*ramp })),
            Self::Cosine(ramp @ Ramp { steps: None, .. }) => Some(Self::Cosine(Ramp { steps, ..*ramp })),
            _ => None,
        }
    }

    /// Every value that it takes lies between the least and the greatest of these.
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Constant(value) => vec![*value],
            Self::Linear(ramp) | Self::Cosine(ramp) => vec![ramp.from, ramp.to],
            Self::Cyclic { from, to, .. } => vec![*from, *to],
            Self::Piecewise(points) | Self::Steps(points) => points.iter().map(|&(_, value)| value).collect(),
        }
    }

    /// The least value that it takes.
    pub fn least(&self) -> f64 {
        self.values().into_iter().fold(f64::INFINITY, f64::min)
    }

    /// Refuses values below 0, which no weight, capacity or learning rate can have.
    ///
    /// # Errors
    /// Names the option and the value.
    pub fn check_not_negative(&self, option: &str) -> Result<()> {
        let largest = f64::from(f32::MAX);
        for value in self.values() {
            let problem = match value {
                value if !value.is_finite() => "is no number; give one, or a schedule of numbers".into(),
                value if value < 0.0 => format!("reaches {value}; it must be 0 or more"),
                value if value > largest => format!("reaches {value:e}; 32-bit numbers end at {largest:.1e}"),
                _ => continue,
            };
            return Err(Error::usage(format!("--{option} {self} {problem}")));
        }
        Ok(())
    }

    /// Refuses a schedule that a run of `total` steps would cut short: its last values would never be reached,
    /// and nobody would notice.
    ///
    /// # Errors
    /// Says what to change.
    pub fn check_fits(&self, option: &str, total: u64) -> Result<()> {
        match self.steps() {
            None if matches!(self, Self::Piecewise(points) | Self::Steps(points) if points.is_empty()) => {
                Err(Error::usage(format!("--{option} is a schedule without a point; give it one")))
            }
            Some(steps) if steps > total => Err(Error::usage(format!(
                "--{option} {self} takes {steps} steps but the run has {total}; train for longer (--steps {steps}), \
                 or shorten the schedule"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether it is this number in every step.
    pub fn is_always(&self, value: f64) -> bool {
        *self == Self::Constant(value)
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

/// As in the table of the module.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ramp = |f: &mut fmt::Formatter<'_>, name: &str, ramp: &Ramp| {
            write!(f, "{name}:{}:{}", ramp.from, ramp.to)?;
            ramp.steps.map_or(Ok(()), |steps| write!(f, ":{steps}"))
        };
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Linear(line) => ramp(f, "linear", line),
            Self::Cosine(wave) => ramp(f, "cosine", wave),
            Self::Cyclic { from, to, period } => write!(f, "cyclic:{from}:{to}:{period}"),
            Self::Piecewise(points) | Self::Steps(points) => {
                let name = if matches!(self, Self::Steps(_)) { "steps" } else { "piecewise" };
                let points: Vec<String> =
                    points.iter().map(|(step, value)| format!("{step}={value}")).collect();
                write!(f, "{name}:{}", points.join(","))
            }
        }
    }
}

/// The forms of `--beta` and its like.
const FORMS: &str = "a number, linear:FROM:TO[:STEPS], cosine:FROM:TO[:STEPS], cyclic:FROM:TO:PERIOD, \
                     piecewise:STEP=VALUE,STEP=VALUE,... or steps:STEP=VALUE,...";

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| Error::usage(format!("`{text}` is no schedule; give {FORMS}")))
    }
}

/// `None` where the text is no schedule.
fn parse(text: &str) -> Option<Schedule> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let steps = |text: &str| text.parse::<u64>().ok().filter(|&steps| steps > 0);
    let ramp = |from: &str, to: &str, length: Option<&str>| {
        let steps = length.map(|length| steps(length).ok_or(())).transpose().ok()?;
        Some(Ramp { from: number(from)?, to: number(to)?, steps })
    };
    let parts: Vec<&str> = text.trim().split(':').collect();
    Some(match parts[..] {
        [value] => Schedule::Constant(number(value)?),
        ["linear", from, to] => Schedule::Linear(ramp(from, to, None)?),
        ["linear", from, to, length] => Schedule::Linear(ramp(from, to, Some(length))?),
        ["cosine", from, to] => Schedule::Cosine(ramp(from, to, None)?),
        ["cosine", from, to, length] => Schedule::Cosine(ramp(from, to, Some(length))?),
        ["cyclic", from, to, period] => {
            Schedule::Cyclic { from: number(from)?, to: number(to)?, period: steps(period)? }
        }
        [name @ ("piecewise" | "steps"), points] => {
            let point = |point: &str| {
                let (step, value) = point.split_once('=')?;
                Some((step.trim().parse::<u64>().ok()?, number(value.trim())?))
            };
            let points = points.split(',').map(point).collect::<Option<Vec<_>>>()?;
            let ascending = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let of = if name == "steps" { Schedule::Steps } else { Schedule::Piecewise };
            ascending.then(|| of(points))?
        }
        _ => return None,
    })
}

/// A number stays a number; the rest is text.
impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Constant(value) => serializer.serialize_f64(*value),
            schedule => serializer.collect_str(schedule),
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        super::number::or_text(deserializer, FORMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse().expect("a schedule")
    }

    #[test]
    fn values_along_the_run() {
        let cases: [(&str, &[(u64, f64)]); 9] = [
            ("steps:0=3,10=2,20=1", &[(0, 3.0), (9, 3.0), (10, 2.0), (19, 2.0), (20, 1.0), (99, 1.0)]),
            ("4", &[(0, 4.0), (99, 4.0)]),
            ("linear:20:1", &[(0, 20.0), (99, 1.0), (33, 20.0 - 19.0 / 3.0)]),
            ("linear:0:25:50", &[(0, 0.0), (10, 5.0), (50, 25.0), (99, 25.0)]),
            ("cosine:0:1:100", &[(0, 0.0), (50, 0.5), (25, 0.5 - 0.5 * std::f64::consts::FRAC_1_SQRT_2)]),
            ("cosine:20:1", &[(0, 20.0), (99, 1.0)]),
            ("cyclic:0:1:20", &[(0, 0.0), (5, 0.5), (10, 1.0), (19, 1.0), (20, 0.0), (25, 0.5)]),
            ("piecewise:10=1,20=3,40=2", &[(0, 1.0), (10, 1.0), (15, 2.0), (20, 3.0), (30, 2.5), (99, 2.0)]),
            ("piecewise:5=7", &[(0, 7.0), (5, 7.0), (50, 7.0)]),
        ];
        for (text, values) in cases {
            for &(step, want) in values {
                let got = schedule(text).at(step, 100);
                assert!((got - want).abs() < 1e-12, "{text} at {step}: {got} is not {want}");
            }
        }
        assert_eq!(schedule("linear:3:1").at(0, 1), 3.0, "a run of one step");
    }

    #[test]
    fn text_and_settings_come_back_as_they_were() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Settings {
            beta: Schedule,
        }
        for text in [
            "4",
            "0.5",
            "linear:20:1",
            "linear:0:25:4000",
            "cosine:1:0:7",
            "cyclic:0:1:9",
            "piecewise:0=2,5=0.25",
            "steps:0=2,5=0.25",
        ] {
            assert_eq!(schedule(text).to_string(), text);
            let settings = Settings { beta: schedule(text) };
            let file = toml::to_string(&settings).expect("TOML");
            assert_eq!(toml::from_str::<Settings>(&file).expect("settings"), settings, "{file}");
        }
        assert_eq!(toml::from_str::<Settings>("beta = 4").expect("a whole number").beta, schedule("4"));
    }

    #[test]
    fn what_is_no_schedule() {
        for text in [
            "",
            "x",
            "linear",
            "linear:1",
            "linear:1:2:0",
            "linear:1:2:x",
            "cyclic:0:1",
            "piecewise:",
            "piecewise:5=1,5=2",
            "piecewise:9=1,5=2",
            "steps:",
            "sine:0:1",
            "nan",
            "linear:0:inf",
        ] {
            let error = text.parse::<Schedule>().expect_err(text).to_string();
            assert!(error.contains("is no schedule; give a number, linear:FROM:TO"), "{error}");
        }
        assert!(toml::from_str::<std::collections::HashMap<String, Schedule>>("beta = true").is_err());
    }

    #[test]
    fn too_long_or_negative_schedules_are_refused() {
        let long =
            schedule("linear:0:25:4000").check_fits("capacity", 3999).expect_err("too long").to_string();
        assert!(long.contains("--capacity linear:0:25:4000 takes 4000 steps but the run has 3999"), "{long}");
        schedule("linear:0:25:4000").check_fits("capacity", 4000).expect("fits");
        schedule("cosine:0:25").check_fits("capacity", 1).expect("always fits");
        assert!(Schedule::Piecewise(Vec::new()).check_fits("beta", 1).is_err(), "made by a program");
        assert!(schedule("piecewise:0=1,9=-1").check_not_negative("beta").is_err());
        schedule("linear:20:0").check_not_negative("beta").expect("not negative");
    }
}
