//! Instructions and numbers of the older system that somebody changed there.

use hub_core::error::UserError;
use sha2::{Digest as _, Sha256};

use super::{super::document::SettingsEntry, Reading, rows::Row};
use crate::{DescribeTemplates, PromptGeneratorSettings, submit::hex};

/// SHA-256 of the instructions that the older system shipped: what nobody changed is not taken, since the hub's own are
/// made for its way of asking.
const SHIPPED_TEMPLATES: [&str; 4] = [
    "fe8b4a00ef7c4f254ec8fb8eacc6635d02e651925eb038e1f99eb15ddf5ab8a7",
    "2b43894320e7ae8df17ac7913169dee44b9999f734667371f655c1f78515c806",
    "3cb48aebe2b6d7c0abbcc335702405f9c3c6a5d45ecb270b6be3b674738f4f47",
    "dbc6925d5eefe5380856411c12f2a97f485e4a96c5ca03a5165ab696faa03c5c",
];

impl Reading<'_> {
    pub(super) fn settings(&mut self) -> Result<SettingsEntry, UserError> {
        if let Some(base) = self.rows.setting("OUTPUT_URL_BASE").filter(|base| !base.is_empty()) {
            self.notes.push(format!(
                "OUTPUT_URL_BASE was `{base}`: set server.public_url, if others reach the hub at another address."
            ));
        }
        let mut describe = None;
        if let Some(row) = self.rows.of("description_settings").first() {
            let mut templates = DescribeTemplates::default();
            for (column, place) in [
                ("natural_prompt_template_en", &mut templates.natural),
                ("optimized_prompt_template_en", &mut templates.optimized),
                ("natural_prompt_template_fr", &mut templates.natural_fr),
                ("optimized_prompt_template_fr", &mut templates.optimized_fr),
            ] {
                let text = row.text_opt(column).unwrap_or_default();
                let shipped = SHIPPED_TEMPLATES.contains(&hex(&Sha256::digest(text)).as_str());
                if !text.trim().is_empty() && !shipped {
                    text.clone_into(place);
                }
            }
            describe = Some(templates).filter(|templates| *templates != DescribeTemplates::default());
        }
        let prompt_generator = match self.rows.of("prompt_generator_settings").first() {
            None => None,
            Some(row) => Some(self.generator(row)?).filter(|settings| *settings != PromptGeneratorSettings::default()),
        };
        Ok(SettingsEntry { describe_templates: describe, prompt_generator, ..SettingsEntry::default() })
    }

    fn generator(&mut self, row: &Row) -> Result<PromptGeneratorSettings, UserError> {
        let defaults = PromptGeneratorSettings::default();
        let number = |column: &str, default: u32| {
            row.number(column).and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
        };
        let names = self.rows.names("styles")?;
        let allowed: Vec<String> = self
            .rows
            .of("prompt_generator_allowed_styles")
            .iter()
            .filter_map(|row| names.get(&row.number("style_id")?).cloned())
            .collect();
        let settings = PromptGeneratorSettings {
            subjects_to_propose: number("subjects_to_propose", defaults.subjects_to_propose),
            elements_to_propose: number("elements_to_propose", defaults.elements_to_propose),
            elements_to_select: number("elements_to_select", defaults.elements_to_select),
            variations_to_propose: number("variations_to_propose", defaults.variations_to_propose),
            allowed_styles: Some(allowed).filter(|allowed| !allowed.is_empty()),
            ..defaults
        };
        let catalogue = hub_core::catalogue::Catalogue::default();
        let within = PromptGeneratorSettings { allowed_styles: None, ..settings.clone() };
        if let Err(error) = within.check(&catalogue) {
            self.notes.push(format!("The numbers of the prompt generator are not taken: {}", error.message));
            return Ok(PromptGeneratorSettings {
                allowed_styles: settings.allowed_styles,
                ..PromptGeneratorSettings::default()
            });
        }
        Ok(settings)
    }
}
