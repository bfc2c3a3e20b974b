//! Renders templates. Each template belongs to one context type ([`Page`]) that can make a sample of
//! itself, so that a test renders all of them and a name that a template misspells is found there.
//!
//! Undefined names are errors, and everything that is printed is escaped: no template may mark
//! caller's text as safe.

#[cfg(not(debug_assertions))]
use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use crate::{
    assets::{self, Files},
    error::WebError,
    forms,
    language::{self, Language},
    router::WebConfig,
    viewer,
};

/// A context and the one template it is for.
pub(crate) trait Page: Serialize {
    /// Path below `templates/`.
    const TEMPLATE: &'static str;

    /// A context with everything set that a template may show.
    #[cfg(test)]
    fn sample() -> Self;
}

/// Renders pages and fragments.
pub(crate) struct Renderer {
    #[cfg(debug_assertions)]
    config: WebConfig,
    /// By the language's tag.
    #[cfg(not(debug_assertions))]
    environments: BTreeMap<String, Environment<'static>>,
}

impl Renderer {
    /// A renderer for this hub.
    pub(crate) fn new(config: &WebConfig) -> Self {
        Self {
            #[cfg(debug_assertions)]
            config: config.clone(),
            #[cfg(not(debug_assertions))]
            environments: config
                .translations
                .iter()
                .map(|language| (language.tag().to_owned(), environment(config, Some(language))))
                .chain([(language::ENGLISH.to_owned(), environment(config, None))])
                .collect(),
        }
    }

    /// The page as HTML, in the language of who asks. Where a translation turns out to break a template, it is said in
    /// the log and the page is in English.
    ///
    /// # Errors
    /// When the template is broken, which is a defect of the hub.
    pub(crate) fn render<P: Page>(&self, page: &P) -> Result<String, WebError> {
        if let Some(language) = viewer::language() {
            match self.render_in::<P>(page, Some(&language)) {
                Ok(page) => return Ok(page),
                Err(error) => {
                    tracing::warn!(language = language.tag(), template = P::TEMPLATE, "the translation: {error:#}");
                }
            }
        }
        viewer::in_english(|| self.render_in::<P>(page, None))
            .map_err(|error| WebError::internal(&format_args!("template {}: {error:#}", P::TEMPLATE)))
    }

    fn render_in<P: Page>(&self, page: &P, language: Option<&Arc<Language>>) -> Result<String, Error> {
        // Built anew in debug builds, so that an edited template shows at the next request.
        #[cfg(debug_assertions)]
        let environment = environment(&self.config, language);
        #[cfg(not(debug_assertions))]
        let environment = self
            .environments
            .get(language.map_or(language::ENGLISH, |language| language.tag()))
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "a language without templates"))?;
        let template = environment.get_template(P::TEMPLATE)?;
        template.render(Value::from(Serde(page))).map(forms::guarded)
    }
}

fn environment(config: &WebConfig, language: Option<&Arc<Language>>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the standard delimiters are valid"),
    );
    let words = language.cloned();
    environment.set_loader(move |name| {
        let source = Files::get(name).and_then(|file| String::from_utf8(file.data.into_owned()).ok());
        Ok(source.map(|english| words.as_ref().map_or_else(|| english.clone(), |words| words.template(&english))))
    });
    environment.add_function("asset", |path: String| {
        assets::versioned(&path)
            .map(Value::from_safe_string)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no asset `{path}`")))
    });
    environment.add_function("said", |english: String| language::here(&english));
    environment.add_global("demo", config.demo);
    environment.add_global("version", config.version);
    environment.add_global("language", language.map_or(language::ENGLISH, |language| language.tag()).to_owned());
    environment
}

#[cfg(test)]
pub(crate) use tests::in_language;

#[cfg(test)]
mod tests;
