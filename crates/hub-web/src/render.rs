//! Renders templates. Each template belongs to one context type ([`Page`]) that can make a sample of
//! itself, so that a test renders all of them and a name that a template misspells is found there.
//!
//! Undefined names are errors, and everything that is printed is escaped: no template may mark
//! caller's text as safe.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use crate::{
    assets::{self, Files},
    error::WebError,
    forms,
    router::WebConfig,
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
    #[cfg(not(debug_assertions))]
    environment: Environment<'static>,
}

impl Renderer {
    /// A renderer for this hub.
    pub(crate) fn new(config: &WebConfig) -> Self {
        Self {
            #[cfg(debug_assertions)]
            config: config.clone(),
            #[cfg(not(debug_assertions))]
            environment: environment(config.demo, config.version),
        }
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// When the template is broken, which is a defect of the hub.
    pub(crate) fn render<P: Page>(&self, page: &P) -> Result<String, WebError> {
        // Built anew in debug builds, so that an edited template shows at the next request.
        #[cfg(debug_assertions)]
        let environment = environment(self.config.demo, self.config.version);
        #[cfg(not(debug_assertions))]
        let environment = &self.environment;
        environment
            .get_template(P::TEMPLATE)
            .and_then(|template| template.render(Value::from(Serde(page))))
            .map(forms::guarded)
            .map_err(|error| WebError::internal(&format_args!("template {}: {error:#}", P::TEMPLATE)))
    }
}

fn environment(demo: bool, version: &'static str) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the standard delimiters are valid"),
    );
    environment.set_loader(|name| Ok(Files::get(name).and_then(|file| String::from_utf8(file.data.into_owned()).ok())));
    environment.add_function("asset", |path: String| {
        assets::versioned(&path)
            .map(Value::from_safe_string)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no asset `{path}`")))
    });
    environment.add_global("demo", demo);
    environment.add_global("version", version);
    environment
}

#[cfg(test)]
mod tests;
