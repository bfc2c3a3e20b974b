//! Reads tool arguments one by one and tells faults in the caller's terms. Never guesses: a value of
//! the wrong type is refused, since a silent conversion would render the wrong picture.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Area, AspectRatio, ImageRef, ImageSize, Inline, Part, Region, SizeChoice};
use crate::{error::UserError, ids::JobId, limits, suggest};

/// Longest piece of a bad value that is quoted back, in characters.
const QUOTE_MAX_CHARS: usize = 60;

/// A tool call's arguments, remembering which were looked at.
pub(super) struct Arguments<'a> {
    map: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, known: BTreeSet::new() }
    }

    /// The value under the first of `names` that is given; `null` means omitted.
    fn take(&mut self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        self.known.extend(names);
        names.iter().find_map(|name| self.map.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value)))
    }

    /// Refuses arguments that no reader asked for, so that a misspelt one is not silently dropped.
    pub(super) fn refuse_unknown(&self, tool: &str) -> Result<(), UserError> {
        let Some(unknown) = self.map.keys().find(|key| !self.known.contains(key.as_str())) else {
            return Ok(());
        };
        let shown = quote(unknown);
        let error = UserError::argument(&shown, format!("`{tool}` has no argument `{shown}`."));
        let error = match suggest::nearest(unknown, self.known.iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
            None => error,
        };
        Err(error.with_valid(self.known.iter().copied()))
    }

    pub(super) fn boolean(&mut self, names: &[&'static str]) -> Result<Option<bool>, UserError> {
        self.take(names)
            .map(|(name, value)| value.as_bool().ok_or_else(|| wrong_type(name, value, "true or false")))
            .transpose()
    }

    /// A prompt: text without control characters other than line breaks and tabs. Blank = omitted.
    pub(super) fn prompt(&mut self, name: &'static str) -> Result<Option<String>, UserError> {
        let Some((name, value)) = self.take(&[name]) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name, value, "a text"))?;
        let chars = text.chars().count();
        if chars > limits::PROMPT_MAX_CHARS {
            return Err(UserError::argument(
                name,
                format!("`{name}` has {chars} characters; at most {} are allowed.", limits::PROMPT_MAX_CHARS),
            ));
        }
        refuse_control_characters(name, text)?;
        Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// A short name.
    pub(super) fn name(&mut self, names: &[&'static str]) -> Result<Option<String>, UserError> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        parse_name(name, value).map(Some)
    }

    pub(super) fn names(&mut self, names: &[&'static str]) -> Result<Option<Vec<String>>, UserError> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong_type(name, value, "a list of names, e.g. [\"cinematic\"]"))?;
        if list.len() > limits::STYLES_MAX {
            return Err(UserError::argument(
                name,
                format!("`{name}` lists {} names; at most {} are allowed.", list.len(), limits::STYLES_MAX),
            ));
        }
        let mut parsed = Vec::with_capacity(list.len());
        for value in list {
            let item = parse_name(name, value)?;
            if !parsed.contains(&item) {
                parsed.push(item);
            }
        }
        Ok(Some(parsed))
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        names: &[&'static str],
        choices: &[(&str, T)],
    ) -> Result<Option<T>, UserError> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        let valid = || choices.iter().map(|(text, _)| *text);
        let text =
            value.as_str().ok_or_else(|| wrong_type(name, value, "one of the valid values").with_valid(valid()))?;
        choices.iter().find(|(candidate, _)| *candidate == text).map(|(_, choice)| Some(*choice)).ok_or_else(|| {
            UserError::argument(name, format!("`{name}` cannot be `{}`.", quote(text))).with_valid(valid())
        })
    }

    /// A seed: every whole number from 0 to 2^64 − 1.
    pub(super) fn seed(&mut self) -> Result<Option<u64>, UserError> {
        let Some((name, value)) = self.take(&["seed"]) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| {
            let range = format!("a whole number from 0 to {}", u64::MAX);
            if value.is_number() {
                UserError::argument(name, format!("`{name}` is {}, but must be {range}.", quote(&value.to_string())))
            } else {
                wrong_type(name, value, &range)
            }
        })
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&mut self, name: &'static str) -> Result<Option<f64>, UserError> {
        let Some((name, value)) = self.take(&[name]) else { return Ok(None) };
        let number = value.as_f64().ok_or_else(|| wrong_type(name, value, "a number from 0 to 1"))?;
        if (0.0..=1.0).contains(&number) {
            Ok(Some(number))
        } else {
            Err(UserError::argument(name, format!("`{name}` is {number}, but must be from 0 to 1.")))
        }
    }

    fn whole(&mut self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, UserError> {
        let Some((name, value)) = self.take(&[name]) else { return Ok(None) };
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        // JSON knows one kind of number: clients that write 1024.0 mean 1024.
        let number = value.as_u64().or_else(|| {
            value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float)).map(whole_u64)
        });
        match number.and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None if value.is_number() => Err(UserError::argument(
                name,
                format!("`{name}` is {}, but must be {wanted}.", quote(&value.to_string())),
            )),
            None => Err(wrong_type(name, value, &wanted)),
        }
    }

    /// How many pictures.
    pub(super) fn pictures(&mut self) -> Result<Option<u32>, UserError> {
        self.whole("n", 1..=limits::PICTURES_MAX)
    }

    pub(super) fn wait_s(&mut self) -> Result<Option<u32>, UserError> {
        self.whole("wait_s", 0..=limits::WAIT_MAX_S)
    }

    pub(super) fn inline(&mut self) -> Result<Option<Inline>, UserError> {
        self.choice(&["inline"], &[("none", Inline::None), ("preview", Inline::Preview), ("full", Inline::Full)])
    }

    pub(super) fn idempotency_key(&mut self) -> Result<Option<String>, UserError> {
        let Some((name, value)) = self.take(&["idempotency_key"]) else { return Ok(None) };
        let key = value.as_str().ok_or_else(|| wrong_type(name, value, "a text"))?;
        parse_idempotency_key(key).map(Some)
    }

    /// Either an aspect ratio, or both sides.
    pub(super) fn size(&mut self) -> Result<SizeChoice, UserError> {
        let sides = limits::SIDE_MIN_PX..=limits::SIDE_MAX_PX;
        let width = self.whole("width", sides.clone())?;
        let height = self.whole("height", sides)?;
        let ratios = AspectRatio::ALL.map(|ratio| (ratio.as_str(), ratio));
        let ratio = self.choice(&["aspect_ratio"], &ratios)?;
        match (width, height, ratio) {
            (None, None, None) => Ok(SizeChoice::Default),
            (None, None, Some(ratio)) => Ok(SizeChoice::Aspect(ratio)),
            (Some(width_px), Some(height_px), None) => Ok(SizeChoice::Exact(ImageSize { width_px, height_px })),
            (_, _, Some(_)) => Err(UserError::argument(
                "aspect_ratio",
                "Give either `aspect_ratio` or `width` and `height`, not both.",
            )),
            (Some(_), None, None) => {
                Err(UserError::argument("height", "`width` is given without `height`; give both."))
            }
            (None, Some(_), None) => Err(UserError::argument("width", "`height` is given without `width`; give both.")),
        }
    }

    /// The id of a job.
    pub(super) fn job(&mut self, name: &'static str) -> Result<Option<JobId>, UserError> {
        let Some((name, value)) = self.take(&[name]) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name, value, "a job's id, job_…"))?;
        let parsed = text.trim().parse();
        parsed.map(Some).map_err(|error| UserError::argument(name, format!("`{name}` must be a job's id: {error}.")))
    }

    /// At most one way of saying what is redrawn.
    pub(super) fn area(&mut self) -> Result<Option<Area>, UserError> {
        let mask = self.image(&["mask"])?.map(Area::Mask);
        let region = self.region()?.map(Area::Region);
        let part = self.choice(&["part"], &Part::ALL.map(|part| (part.as_str(), part)))?.map(Area::Part);
        let mut given = [mask, region, part].into_iter().flatten();
        match (given.next(), given.next()) {
            (area, None) => Ok(area),
            (_, Some(_)) => Err(UserError::argument("region", "Give only one of `region`, `mask` and `part`.")),
        }
    }

    fn region(&mut self) -> Result<Option<Region>, UserError> {
        let Some((name, value)) = self.take(&["region"]) else { return Ok(None) };
        let wanted = "a list of four numbers, [x, y, width, height]";
        let list = value.as_array().ok_or_else(|| wrong_type(name, value, wanted))?;
        let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        let numbers: Option<[f64; 4]> = numbers.and_then(|numbers| numbers.try_into().ok());
        let numbers = numbers.ok_or_else(|| UserError::argument(name, format!("`{name}` must be {wanted}.")))?;
        Region::new(numbers).map(Some)
    }

    pub(super) fn image(&mut self, names: &[&'static str]) -> Result<Option<ImageRef>, UserError> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        let text =
            value.as_str().ok_or_else(|| wrong_type(name, value, "a text: an image id, job id, URL or data URI"))?;
        ImageRef::parse(text).map(Some).map_err(|mut error| {
            error.argument = Some(name.to_owned());
            error
        })
    }
}

/// The error for a required argument that is not given.
pub(super) fn missing(name: &str, what: &str) -> UserError {
    UserError::argument(name, format!("`{name}` is required: {what}."))
}

/// Checks a key that came as an argument, a header or `_meta`.
///
/// # Errors
/// `bad_argument` when it is empty, too long or holds anything but printable ASCII.
pub fn parse_idempotency_key(key: &str) -> Result<String, UserError> {
    let max = limits::IDEMPOTENCY_KEY_MAX_CHARS;
    if key.is_empty() || key.len() > max || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(UserError::argument(
            "idempotency_key",
            format!("`idempotency_key` must have 1 to {max} printable ASCII characters."),
        ));
    }
    Ok(key.to_owned())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the caller checked the range")]
fn whole_u64(float: f64) -> u64 {
    float as u64
}

fn parse_name(name: &str, value: &Value) -> Result<String, UserError> {
    let text = value.as_str().ok_or_else(|| wrong_type(name, value, "a name"))?.trim();
    let chars = text.chars().count();
    if chars == 0 || chars > limits::NAME_MAX_CHARS {
        return Err(UserError::argument(
            name,
            format!("a name in `{name}` must have 1 to {} characters; this one has {chars}.", limits::NAME_MAX_CHARS),
        ));
    }
    refuse_control_characters(name, text)?;
    Ok(text.to_owned())
}

fn refuse_control_characters(name: &str, text: &str) -> Result<(), UserError> {
    let allowed = |c: char| matches!(c, '\n' | '\r' | '\t') || !c.is_control();
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(()),
        Some((at, c)) => Err(UserError::argument(
            name,
            format!("`{name}` holds the control character U+{:04X} at byte {at}; remove it.", u32::from(c)),
        )),
    }
}

fn wrong_type(name: &str, value: &Value, wanted: &str) -> UserError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    UserError::argument(name, format!("`{name}` is {kind}, but must be {wanted}."))
}

fn quote(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(QUOTE_MAX_CHARS).collect();
    if text.chars().count() > QUOTE_MAX_CHARS {
        shown.push('…');
    }
    shown
}
