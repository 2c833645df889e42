//! A test's result as a file: Markdown for people, JUnit for systems that run tests.

use super::report::{Distance, header_of_columns, name_of_test, p_text, p_with_error};
use elbo::error::{Error, Result};
use elbo::numeric::grouped;
use elbo::statistic::columns::ColumnShift;
use elbo::statistic::p_value::PValue;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Columns that a file lists.
const MOST_COLUMNS: usize = 50;

/// Most numbers of a list that stand in a table.
const MOST_NUMBERS: usize = 8;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SummaryForm {
    Markdown,
    JUnit,
}

/// A file to write, whose ending says in which form.
#[derive(Clone, Debug)]
pub(super) struct SummaryFile {
    path: PathBuf,
    form: SummaryForm,
}

impl SummaryFile {
    /// As the command line names it.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let path = PathBuf::from(text);
        let form = match path.extension().and_then(|ending| ending.to_str()) {
            Some("md") => SummaryForm::Markdown,
            Some("xml") => SummaryForm::JUnit,
            _ => return Err("write FILE.md for Markdown, or FILE.xml for JUnit".into()),
        };
        Ok(Self { path, form })
    }
}

/// A question, and what a test found.
pub(super) struct Finding {
    pub(super) question: String,
    pub(super) decision: String,
    /// The statistic's name, and its value.
    pub(super) statistic: (String, f64),
    pub(super) p: PValue,
    pub(super) seconds: f64,
    pub(super) warnings: Vec<String>,
}

/// All that a command found.
pub(super) struct TestSummary<'a> {
    pub(super) findings: &'a [Finding],
    pub(super) shifts: &'a [ColumnShift],
    /// Corrected p-value up to which a column is said to have moved.
    pub(super) alpha: f64,
    /// As `--json` prints it.
    pub(super) fields: Value,
    /// The pictures that were drawn.
    pub(super) pictures: &'a [PathBuf],
}

impl TestSummary<'_> {
    /// Writes the files that are asked for.
    pub(super) fn save(&self, files: &[SummaryFile]) -> Result<()> {
        for SummaryFile { path, form } in files {
            let text = match form {
                SummaryForm::Markdown => self.markdown(path),
                SummaryForm::JUnit => self.junit(),
            };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
            }
            elbo::files::save(path, text)?;
        }
        Ok(())
    }

    fn markdown(&self, path: &Path) -> String {
        let mut text = String::new();
        for Finding { question, decision, statistic: (name, value), p, warnings, .. } in self.findings {
            let mark = if p.reject { "❌" } else { "✅" };
            let _ = write!(text, "# {}\n\n{mark} **{}**\n\n", cell(question), cell(decision));
            let _ = writeln!(text, "| | |\n|---|---|\n| p-value | {} |", p_value(p));
            let _ = writeln!(text, "| {} | {value:.4e} |\n| level | {} |", cell(name), p.alpha);
            warnings.iter().for_each(|warning| {
                let _ = write!(text, "\n> {}\n", cell(warning));
            });
            text.push('\n');
        }
        for picture in self.pictures {
            let place = relative(picture, path);
            let name = picture.file_stem().unwrap_or_default().to_string_lossy();
            let _ = write!(text, "![{}]({place})\n\n", cell(&name));
        }
        if !self.shifts.is_empty() {
            let moved = self.shifts.iter().filter(|shift| shift.p_corrected <= self.alpha).count();
            let all = self.shifts.len();
            let _ = write!(
                text,
                "## Columns\n\n{moved} of {all} moved: a test of each ({}), p corrected for their number.\n\n",
                name_of_test(self.shifts)
            );
            let [name, rest @ ..] = header_of_columns(self.shifts) else { return text };
            let _ = writeln!(text, "| {name} | moved | {} |", rest.join(" | "));
            let _ = writeln!(text, "|---|---|{}", "---:|".repeat(rest.len()));
            for shift in self.shifts.iter().take(MOST_COLUMNS) {
                let Distance { size, x, y } = Distance::of(shift);
                let word = if shift.p_corrected <= self.alpha { "yes" } else { "" };
                let (name, p) = (cell(&shift.name), p_text(shift.p_corrected));
                let _ = writeln!(text, "| {name} | {word} | {size} | {p} | {} | {} |", cell(&x), cell(&y));
            }
            if all > MOST_COLUMNS {
                let _ = writeln!(text, "\nand {} more, which moved less.", all - MOST_COLUMNS);
            }
            text.push('\n');
        }
        text.push_str("<details><summary>All numbers</summary>\n\n| | |\n|---|---|\n");
        if let Value::Object(fields) = &self.fields {
            rows(fields, "", &mut text);
        }
        let _ = write!(text, "\n</details>\n\nelbo {}\n", env!("CARGO_PKG_VERSION"));
        text
    }

    fn junit(&self) -> String {
        let any = self.findings.iter().any(|finding| finding.p.reject);
        let mut cases: Vec<(String, f64, Option<String>, String)> = Vec::new();
        for Finding { question, decision, statistic: (name, value), p, seconds, warnings } in self.findings {
            let numbers = format!("p-value {}\n{name} {value:.4e}\n{}", p_value(p), warnings.join("\n"));
            cases.push((question.clone(), *seconds, p.reject.then(|| decision.clone()), numbers));
        }
        for shift in self.shifts {
            let Distance { size, x, y } = Distance::of(shift);
            let numbers = format!("distance {size}, p {}; {x} and {y}", p_text(shift.p_corrected));
            // A column by itself is no failure where the test of all of them found nothing.
            let failed = any && shift.p_corrected <= self.alpha;
            let failure = failed.then(|| format!("the column moved (corrected p <= {})", self.alpha));
            cases.push((format!("column {}", shift.name), 0.0, failure, numbers));
        }
        let failures = cases.iter().filter(|case| case.2.is_some()).count();
        let seconds: f64 = cases.iter().map(|case| case.1).sum();
        let counts =
            format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.3}\"", cases.len());
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"elbo\" {counts}>\n  <testsuite name=\"elbo\" {counts}>\n"
        );
        for (name, seconds, failure, numbers) in cases {
            let name = escaped(&name);
            let _ = writeln!(text, "    <testcase classname=\"elbo\" name=\"{name}\" time=\"{seconds:.3}\">");
            let numbers = escaped(&numbers);
            let _ = match failure {
                Some(failure) => {
                    writeln!(text, "      <failure message=\"{}\">{numbers}</failure>", escaped(&failure))
                }
                None => writeln!(text, "      <system-out>{numbers}</system-out>"),
            };
            text.push_str("    </testcase>\n");
        }
        text + "  </testsuite>\n</testsuites>\n"
    }
}

/// A p-value and how it came about.
fn p_value(p: &PValue) -> String {
    match p.permutations {
        0 => format!("{} ({})", p_text(p.p_value), p.null),
        permutations => format!(
            "{}: {} of {} draws reach the observed value",
            p_with_error(p, "±"),
            p.exceedances,
            grouped(permutations as f64)
        ),
    }
}

/// Fields of a result as rows of a table; lists of more than a few numbers are left out.
fn rows(fields: &Map<String, Value>, prefix: &str, text: &mut String) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        let simple = |value: &Value| !value.is_array() && !value.is_object();
        let shown = match value {
            Value::Object(fields) => {
                rows(fields, &format!("{name}."), text);
                continue;
            }
            Value::Array(values)
                if values.is_empty() || values.len() > MOST_NUMBERS || !values.iter().all(simple) =>
            {
                continue;
            }
            Value::Array(values) => {
                values.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
            }
            Value::String(word) => word.clone(),
            Value::Null => continue,
            other => other.to_string(),
        };
        let _ = writeln!(text, "| {} | {} |", cell(&name), cell(&shown));
    }
}

/// Text in a cell of a table: names come from files.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '&' | '@' => {
                // A sign that Markdown would take for its own.
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Text in XML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' | '\t' => safe.push(letter),
            // What XML 1.0 has no place for.
            '\u{fffe}' | '\u{ffff}' => safe.push('?'),
            letter if letter.is_control() => safe.push('?'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A picture as seen from the file that names it, as an address.
fn relative(picture: &Path, file: &Path) -> String {
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    let (picture, file) = (full(picture), full(file));
    let folder: Vec<_> = file.parent().into_iter().flat_map(Path::components).collect();
    let parts: Vec<_> = picture.components().collect();
    let common = folder.iter().zip(&parts).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), folder.len() - common);
    let down = parts[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let mut address = String::new();
    for letter in up.chain(down).collect::<Vec<_>>().join("/").chars() {
        if letter.is_ascii_graphic() && !"<>()%?#\"".contains(letter) || !letter.is_ascii() {
            address.push(letter);
        } else {
            let _ = write!(address, "%{:02X}", u32::from(letter));
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use elbo::statistic::columns::Moved;

    fn p(exceedances: usize, permutations: usize) -> PValue {
        PValue {
            p_value: (1 + exceedances) as f64 / (1 + permutations) as f64,
            least_p_value: 1.0 / (1 + permutations) as f64,
            exceedances,
            permutations,
            p_standard_error: 0.001,
            null: "exact",
            alpha: 0.05,
            reject: exceedances < 10,
        }
    }

    fn shift(name: &str, p_corrected: f64) -> ColumnShift {
        let moved = Moved::Numbers { ks: 0.5, median_x: 1.0, median_y: 2.0 };
        ColumnShift { name: name.into(), column: 0, moved, p_value: p_corrected, p_corrected }
    }

    fn text(form: SummaryForm, exceedances: usize) -> String {
        let finding = Finding {
            question: "Do <a> & \"b\" differ?".into(),
            decision: "the samples differ (p <= 0.05)".into(),
            statistic: ("MMD²".into(), 0.125),
            p: p(exceedances, 999),
            seconds: 0.25,
            warnings: vec!["rows | depend".into()],
        };
        let shifts = [shift("a|b <script>", 0.001), shift("c\u{1b}[31m", 0.9)];
        let summary = TestSummary {
            findings: &[finding],
            shifts: &shifts,
            alpha: 0.05,
            fields: serde_json::json!({ "n": 5, "bandwidths": [1.5], "columns": [{ "name": "a" }], "x": { "d": 2 } }),
            pictures: &[PathBuf::from("out/null.png")],
        };
        match form {
            SummaryForm::Markdown => summary.markdown(Path::new("out/result.md")),
            SummaryForm::JUnit => summary.junit(),
        }
    }

    #[test]
    fn markdown_has_decision_columns_and_numbers_and_no_markup_of_names() {
        let text = text(SummaryForm::Markdown, 0);
        for part in [
            "❌ **the samples differ (p \\<= 0.05)**",
            "| p-value | <= 0.0010: 0 of 999 draws",
            "![null](null.png)",
            "1 of 2 moved",
            "| a\\|b \\<script\\> | yes | 0.500 | 0.0010 | 1.0000 | 2.0000 |",
            "| x.d | 2 |",
            "| bandwidths | 1.5 |",
            "\n> rows \\| depend\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains("<script>"));
    }

    #[test]
    fn junit_fails_what_differs() {
        let failed = text(SummaryForm::JUnit, 0);
        assert!(failed.contains("tests=\"3\" failures=\"2\""), "{failed}");
        assert!(failed.contains("Do &lt;a&gt; &amp; &quot;b&quot; differ?"), "{failed}");
        assert!(!failed.contains('\u{1b}'), "{failed}");
        assert_eq!(failed.matches("<testcase").count(), failed.matches("</testcase>").count());
        let passed = text(SummaryForm::JUnit, 500);
        assert!(passed.contains("tests=\"3\" failures=\"0\""), "a column alone is no failure: {passed}");
    }

    #[test]
    fn pictures_are_found_from_where_the_file_is() {
        let found = |picture: &str, file: &str| relative(Path::new(picture), Path::new(file));
        assert_eq!(found("drift/null.png", "drift/result.md"), "null.png");
        assert_eq!(found("drift/null.png", "reports/result.md"), "../drift/null.png");
        assert_eq!(found("a b/p>ics/null.png", "result.md"), "a%20b/p%3Eics/null.png");
    }

    #[test]
    fn endings_choose_the_form() {
        assert_eq!(SummaryFile::parse("a/b.md").map(|file| file.form), Ok(SummaryForm::Markdown));
        assert_eq!(SummaryFile::parse("b.xml").map(|file| file.form), Ok(SummaryForm::JUnit));
        assert!(SummaryFile::parse("b.html").is_err());
    }
}
