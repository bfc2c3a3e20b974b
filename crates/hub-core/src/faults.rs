//! serde's faults in words for callers: which field, what is wrong, what would have been valid.

use crate::{
    error::{ErrorCode, UserError},
    suggest,
};

/// The refusal of a field. `path` is where the fault lies, in the form of `serde_path_to_error` (`.` =
/// the whole); `told` is serde's sentence, in which names stand between backticks: `unknown field `x`,
/// expected one of `a`, `b` at line 1 column 3`.
pub fn field(path: &str, told: &str) -> UserError {
    let told = told.rsplit_once(" at line ").map_or(told, |(sentence, _)| sentence);
    let mut names = told.split('`').skip(1).step_by(2).map(str::to_owned);
    let path = path.trim_matches('.').trim_end_matches(".?");
    let mut error = UserError::new(ErrorCode::BadArgument, format!("{}.", capitalise(told)));
    error.argument = Some(path.to_owned()).filter(|path| !path.is_empty() && path != "?");
    if told.starts_with("unknown field") || told.starts_with("missing field") {
        let name = names.next().unwrap_or_default();
        // The path of an unknown field ends in it already, that of a missing one does not.
        let parent = path.strip_suffix(name.as_str()).map_or(path, |parent| parent.trim_end_matches('.'));
        error.argument = Some(if parent.is_empty() { name } else { format!("{parent}.{name}") });
    } else if let Some(argument) = &error.argument {
        error.message = format!("`{argument}`: {told}.");
    }
    if told.starts_with("unknown field") || told.starts_with("unknown variant") {
        let given = told.split('`').nth(1).unwrap_or_default().to_owned();
        let skipped = usize::from(told.starts_with("unknown variant"));
        error.valid_values = names.skip(skipped).collect();
        if let Some(near) = suggest::nearest(&given, error.valid_values.iter().map(String::as_str)) {
            error.hint = Some(format!("Did you mean `{near}`?"));
        }
    }
    error
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_field_once() {
        let unknown = field("parts[1].widht", "unknown field `widht`, expected `width` or `height` at line 1 column 9");
        assert_eq!(unknown.argument.as_deref(), Some("parts[1].widht"));
        assert_eq!(unknown.valid_values, ["width", "height"]);
        assert_eq!(field("parts[0]", "missing field `width`").argument.as_deref(), Some("parts[0].width"));
        assert_eq!(field(".", "missing field `name`").argument.as_deref(), Some("name"));
        let wrong = field("parts[0].width", "invalid type: string \"x\", expected u32 at line 3 column 1");
        assert_eq!(wrong.message, "`parts[0].width`: invalid type: string \"x\", expected u32.");
    }
}
