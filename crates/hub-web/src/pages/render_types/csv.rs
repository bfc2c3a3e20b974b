//! The list of render types as a table.

use std::collections::BTreeMap;

use axum::{
    extract::{Request, State},
    response::Response,
};
use hub_core::{
    catalogue::{RenderType, SizeLimits},
    error::UserError,
    request::{AspectRatio, ImageSize},
};

use super::{
    super::{
        form::{Done, Fault, lines},
        table::{Entries, Import, ImportPage, Row, SentTable, ShownImport, Table, answer, yes_or_no},
    },
    RenderTypesPage,
    edit::{mode_of, ratio_of, size_of, text_of},
    page,
};
use crate::{attachment, error::WebError, router::App};

const TABLE: Table = Table {
    columns: &[
        "name",
        "workflow",
        "mode",
        "title",
        "description",
        "workflow_version",
        "visible",
        "is_default",
        "sizes",
        "aspect",
        "min_side_px",
        "max_side_px",
        "side_multiple_px",
        "steps",
        "cfg",
        "denoise",
        "prompt_guide",
        "prompt_examples",
    ],
    needed: 3,
};
/// Between several sizes in one cell, each written as `16:9=1344x768`.
const LIST_SEPARATOR: &str = "; ";

/// All render types as a file.
pub(crate) async fn download(State(app): State<App>) -> Result<Response, WebError> {
    let table = write(&app.engine.catalogue().render_types).map_err(|error| WebError::internal(&error))?;
    Ok(attachment::answer("render-types.csv", "text/csv; charset=utf-8", table))
}

/// Shows what a table would change, or changes it.
pub(crate) async fn upload(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let sent = SentTable::read(request, &app).await?;
    let entries = read(&sent.text, &app.engine.catalogue().render_types);
    let imported = Import::of(&app, "render_types", sent, entries).await;
    answer(&app, imported, "/render-types?done=render-types-imported", page(&app, &Done::default())).await
}

impl ImportPage for RenderTypesPage {
    fn places(&mut self) -> (&mut Option<ShownImport>, &mut Option<Fault>) {
        (&mut self.report, &mut self.fault)
    }
}

fn write(rows: &[RenderType]) -> Result<String, Box<dyn std::error::Error>> {
    TABLE.write(rows.iter().map(|row| {
        let size = |(ratio, size): (&AspectRatio, &ImageSize)| {
            format!("{}={}x{}", ratio.as_str(), size.width_px, size.height_px)
        };
        [
            row.name.clone(),
            row.workflow.clone(),
            row.mode.as_str().to_owned(),
            row.title.clone(),
            row.description.clone(),
            text_of(row.workflow_version),
            yes_or_no(row.visible),
            yes_or_no(row.is_default),
            row.sizes.iter().map(size).collect::<Vec<_>>().join(LIST_SEPARATOR),
            text_of(row.defaults.aspect.map(AspectRatio::as_str)),
            row.limits.min_side_px.to_string(),
            row.limits.max_side_px.to_string(),
            row.limits.side_multiple_px.to_string(),
            text_of(row.defaults.steps),
            text_of(row.defaults.cfg),
            text_of(row.defaults.denoise),
            row.prompt_guide.clone(),
            row.prompt_examples.join("\n"),
        ]
    }))
}

/// The rows as render types of a configuration file, where `known` are stored.
fn read(text: &str, known: &[RenderType]) -> Result<Entries, UserError> {
    TABLE.entries(text, |row| entry(row, known))
}

fn entry(row: &Row, known: &[RenderType]) -> Result<RenderType, UserError> {
    let (name, workflow) = (row.needed("name")?, row.needed("workflow")?);
    let mode = mode_of(row.needed("mode")?).map_err(|fault| row.wrong("mode").with_valid(fault.valid_values))?;
    let known = known.iter().find(|known| known.name == name).cloned();
    let known = known.unwrap_or_else(|| RenderType::new(name, workflow, mode));
    let mut entry = RenderType { workflow: workflow.to_owned(), mode, ..known };
    row.words("title", &mut entry.title);
    if entry.title.is_empty() {
        name.clone_into(&mut entry.title);
    }
    row.words("description", &mut entry.description);
    row.number("workflow_version", &mut entry.workflow_version)?;
    row.flag("visible", &mut entry.visible, true)?;
    row.flag("is_default", &mut entry.is_default, false)?;
    if let Some(cell) = row.cell("sizes") {
        entry.sizes = sizes(row, cell)?;
    }
    let standard = SizeLimits::default();
    side(row, "min_side_px", &mut entry.limits.min_side_px, standard.min_side_px)?;
    side(row, "max_side_px", &mut entry.limits.max_side_px, standard.max_side_px)?;
    side(row, "side_multiple_px", &mut entry.limits.side_multiple_px, standard.side_multiple_px)?;
    if let Some(cell) = row.cell("aspect") {
        entry.defaults.aspect = if cell.is_empty() { None } else { Some(ratio(row, "aspect", cell)?) };
    }
    row.number("steps", &mut entry.defaults.steps)?;
    finite(row, "cfg", &mut entry.defaults.cfg)?;
    finite(row, "denoise", &mut entry.defaults.denoise)?;
    row.words("prompt_guide", &mut entry.prompt_guide);
    if let Some(cell) = row.cell("prompt_examples") {
        let examples = lines(cell);
        // One of several lines goes out as several.
        if examples != lines(&entry.prompt_examples.join("\n")) {
            entry.prompt_examples = examples;
        }
    }
    Ok(entry)
}

fn ratio(row: &Row, column: &str, text: &str) -> Result<AspectRatio, UserError> {
    ratio_of(column, text).map_err(|fault| row.wrong(column).with_valid(fault.valid_values))
}

fn sizes(row: &Row, cell: &str) -> Result<BTreeMap<AspectRatio, ImageSize>, UserError> {
    let given = cell.split([';', '\n']).map(str::trim).filter(|size| !size.is_empty());
    let wrong = || row.wrong("sizes").with_valid(["1:1=1024x1024; 16:9=1344x768"]);
    let size = |text: &str| {
        let (name, sides) = text.split_once('=').ok_or_else(wrong)?;
        Ok((ratio(row, "sizes", name)?, size_of(name, sides).map_err(|_| wrong())?))
    };
    given.map(size).collect()
}

/// Puts a bound of the sizes there, or its standard when the cell is empty.
fn side(row: &Row, column: &str, place: &mut u32, standard: u32) -> Result<(), UserError> {
    let mut given = Some(*place);
    row.number(column, &mut given)?;
    *place = given.unwrap_or(standard);
    Ok(())
}

/// JSON knows no other numbers.
fn finite(row: &Row, column: &str, place: &mut Option<f64>) -> Result<(), UserError> {
    row.number(column, place)?;
    match place {
        Some(number) if !number.is_finite() => Err(row.wrong(column)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use hub_core::catalogue::{Mode, RenderDefaults};
    use serde_json::json;

    use super::*;

    /// With something other than usual in every column.
    fn unusual() -> RenderType {
        let mut row = RenderType::new("a, \"quoted\" 🦊", "wf; x", Mode::Edit);
        row.title = "Its title".to_owned();
        row.description = "for agents, too".to_owned();
        row.workflow_version = Some(3);
        row.visible = false;
        row.is_default = true;
        row.sizes = AspectRatio::ALL
            .into_iter()
            .zip([(1024, 1024), (1344, 768)])
            .map(|(ratio, (width_px, height_px))| (ratio, ImageSize { width_px, height_px }))
            .collect();
        row.limits = SizeLimits { min_side_px: 128, max_side_px: 4096, side_multiple_px: 16 };
        row.defaults =
            RenderDefaults { aspect: Some(AspectRatio::ALL[1]), steps: Some(20), cfg: Some(6.5), denoise: Some(0.25) };
        row.prompt_guide = "Short.\nPlain.".to_owned();
        row.prompt_examples = vec!["a fox".to_owned(), "a hen, brown".to_owned()];
        row
    }

    /// What is stored as `known`, after the table.
    fn after(known: &RenderType, table: &str) -> RenderType {
        let mut entry = read(table, std::slice::from_ref(known)).unwrap().values.remove(0);
        entry["id"] = json!(known.id);
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn what_is_written_reads_as_the_same_render_types() {
        let row = unusual();
        let plain = RenderType::new("plain", "smoke", Mode::Upscale);
        let entries = read(&write(&[row.clone(), plain.clone()]).unwrap(), &[]).unwrap().values;
        for (mut entry, row) in entries.into_iter().zip([row, plain]) {
            entry["id"] = json!(row.id);
            assert_eq!(serde_json::from_value::<RenderType>(entry).unwrap(), row);
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_row_and_column() {
        for (table, said) in [
            ("name,workflow\na,b", "no column `mode`"),
            ("name,workflow,mode\na,b,generate\na,,generate", "Row 3 has nothing in `workflow`"),
            ("name,workflow,mode\na,b,draw", "Row 2: `draw` in `mode`"),
            ("name,workflow,mode,sizes\na,b,generate,1:1=big", "Row 2: `1:1=big` in `sizes`"),
            ("name,workflow,mode,sizes\na,b,generate,7:5=64x64", "Row 2: `7:5=64x64` in `sizes`"),
            ("name,workflow,mode,aspect\na,b,generate,wide", "Row 2: `wide` in `aspect`"),
            ("name,workflow,mode,steps\na,b,generate,-1", "Row 2: `-1` in `steps`"),
            ("name,workflow,mode,cfg\na,b,generate,NaN", "Row 2: `NaN` in `cfg`"),
            ("name,workflow,mode,visible\na,b,generate,perhaps", "Row 2: `perhaps` in `visible`"),
        ] {
            let error = read(table, &[]).unwrap_err();
            assert!(error.message.contains(said), "{table}: {}", error.message);
            assert_eq!(error.argument.as_deref(), Some("file"));
        }
        let few = read("mode;name;workflow\nedit;a;b", &[]).unwrap().values;
        assert_eq!(
            (&few[0]["title"], &few[0]["visible"], &few[0]["mode"]),
            (&json!("a"), &json!(true), &json!("edit"))
        );
    }

    #[test]
    fn a_column_that_is_missing_keeps_what_is_stored_and_an_empty_cell_empties() {
        let mut known = unusual();
        known.name = "a".to_owned();
        known.prompt_guide = "Short.\r\nPlain.\n".to_owned();
        known.prompt_examples = vec!["a fox\r\nin snow".to_owned()];
        let changed = RenderType { workflow: "other".to_owned(), description: "new".to_owned(), ..known.clone() };
        assert_eq!(after(&known, "name,workflow,mode,description\na,other,edit,new"), changed);
        let limits = SizeLimits { min_side_px: 256, ..known.limits };
        let defaults = RenderDefaults { steps: None, ..known.defaults.clone() };
        let changed = RenderType { limits, defaults, ..known.clone() };
        assert_eq!(after(&known, "name,workflow,mode,min_side_px,steps\na,wf; x,edit,256,"), changed);
        // As the form that confirms brings it.
        let table = write(std::slice::from_ref(&known)).unwrap().replace("\r\n", "\n");
        assert_eq!(after(&known, &table), known, "a table tells no kind of line end");

        let head = TABLE.columns.join(",");
        let cells = ["a", "b", "edit"].into_iter().chain(std::iter::repeat_n("", TABLE.columns.len() - 3));
        let table = format!("{head}\n{}", cells.collect::<Vec<_>>().join(","));
        assert_eq!(after(&known, &table), RenderType { id: known.id, ..RenderType::new("a", "b", Mode::Edit) });
    }

    #[test]
    fn numbers_and_ratios_are_read_as_spreadsheets_write_them() {
        let table = "name;workflow;mode;sizes;aspect;steps;cfg;denoise\n\
                     a;b;generate;\"1:1=64x64; 16:9 = 1344×768\";16:09:00;20;6,5;0,25\n";
        let row = &read(table, &[]).unwrap().values[0];
        assert_eq!(row["defaults"], json!({"aspect": "16:9", "steps": 20, "cfg": 6.5, "denoise": 0.25}));
        assert_eq!(row["sizes"]["16:9"], json!(ImageSize { width_px: 1344, height_px: 768 }));
        for (written, ratio) in [("01:01", "1:1"), ("16:09", "16:9"), ("09:21:00", "9:21"), ("4:3", "4:3")] {
            assert_eq!(ratio_of("aspect", written).map(AspectRatio::as_str), Ok(ratio), "{written}");
        }
        for wrong in ["", "16", "7:5", "16:09:30", "16:09:00:00", "-16:9"] {
            assert!(ratio_of("aspect", wrong).is_err(), "{wrong}");
        }
    }
}
