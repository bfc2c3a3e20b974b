//! The settings that people change while the hub runs: what there is, what is valid, and what is in force.
//!
//! The typed home is [`EngineConfig`]: readers take it from memory, never from SQL. A value comes from the
//! environment, which nothing overrides, else from the store, else from the configuration file, else it is the
//! default. A change is in force as soon as it is stored; who holds on to a value follows [`Settings::follow`].

mod specs;

use std::{collections::BTreeMap, sync::Arc};

use hub_core::{
    error::{ErrorCode, UserError},
    suggest,
};
use hub_store::Store;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, watch};
use utoipa::ToSchema;

use self::specs::{Bounds, SPECS, Spec, Takes};
use crate::{EngineConfig, refusal::storage};

/// Key of the store's settings under which changed values lie.
pub(crate) const STORED: &str = "settings.values";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// The environment or the command line: nothing goes before it.
    Environment,
    /// It was changed here.
    Stored,
}

/// When a change is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingEffect {
    /// As soon as it is stored.
    AtOnce,
    /// It cannot be changed here, only in the configuration file or the environment.
    Fixed,
}

/// What the program that starts the engine knows of the settings' origins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenSettings {
    /// Keys whose values come from the file or the environment.
    pub sources: BTreeMap<String, SettingSource>,
    /// Settings that only the program itself reads: shown, never changed.
    pub fixed: Vec<FixedSetting>,
}

/// A setting that cannot be changed while the hub runs.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedSetting {
    /// `section.key`.
    pub key: String,
    /// What may be told of its value; never a secret.
    pub value: Value,
    /// What it means.
    pub explanation: String,
}

/// One setting as it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SettingView {
    /// `section.key`, as in the configuration file.
    pub key: String,
    /// What is in force.
    pub value: Value,
    /// What it is when nobody sets it; null for fixed ones.
    pub default: Value,
    /// What it means.
    pub explanation: String,
    /// `jobs`, `seconds`, `days`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unit: Option<&'static str>,
    /// `number`, `switch`, `address`; null for fixed ones.
    pub takes: Option<&'static str>,
    /// Least value of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub minimum: Option<u64>,
    /// Highest value of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub maximum: Option<u64>,
    /// Where the value comes from.
    pub source: SettingSource,
    /// When a change is in force.
    pub effect: SettingEffect,
    /// It can be changed here.
    pub editable: bool,
}

/// The settings; one per hub.
pub(crate) struct Settings {
    /// Defaults, file and environment.
    base: EngineConfig,
    given: GivenSettings,
    /// What is in force.
    current: watch::Sender<Arc<EngineConfig>>,
    /// What was changed here, by key. Held while a change is made, so that changes are made one by one.
    stored: Mutex<BTreeMap<String, Value>>,
}

impl Settings {
    /// The settings as a hub starts with them. A stored value that is not valid (any more) is left out.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn load(base: EngineConfig, given: GivenSettings, store: &Store) -> Result<Self, UserError> {
        let current = watch::Sender::new(Arc::new(base.clone()));
        let settings = Self { current, stored: Mutex::default(), base, given };
        settings.rewritten(store, async { Ok(()) }).await?;
        Ok(settings)
    }

    /// Has `write` write the store while nobody else changes a setting, and puts in force what it wrote.
    ///
    /// # Errors
    /// What `write` fails of; `storage`.
    pub(crate) async fn rewritten<T>(
        &self,
        store: &Store,
        write: impl Future<Output = Result<T, UserError>>,
    ) -> Result<T, UserError> {
        let mut stored = self.stored.lock().await;
        let written = write.await?;
        self.read(store, &mut stored).await?;
        Ok(written)
    }

    /// Reads what is stored and puts it in force.
    ///
    /// # Errors
    /// `storage`.
    async fn read(&self, store: &Store, stored: &mut BTreeMap<String, Value>) -> Result<(), UserError> {
        let mut read: BTreeMap<String, Value> = store.setting_get(STORED).await.map_err(storage)?.unwrap_or_default();
        read.retain(|key, value| match spec(key).map(|spec| spec.check(value)) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                tracing::warn!(key = key.as_str(), error = %error, "a stored setting is not valid and is left out");
                false
            }
            None => {
                tracing::warn!(key = key.as_str(), "a stored setting is unknown and is left out");
                false
            }
        });
        self.put_in_force(&read);
        *stored = read;
        Ok(())
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<EngineConfig> {
        self.current.borrow().clone()
    }

    /// What is in force, now and after each change.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<EngineConfig>> {
        self.current.subscribe()
    }

    fn put_in_force(&self, stored: &BTreeMap<String, Value>) {
        let next = self.resolved(stored);
        self.current.send_if_modified(|current| {
            let differs = **current != next;
            if differs {
                *current = Arc::new(next);
            }
            differs
        });
    }

    /// All settings, in the order of their sections.
    pub(crate) async fn list(&self) -> Vec<SettingView> {
        let stored = self.stored.lock().await;
        self.views(&stored)
    }

    /// Stores changes, all or none, and puts them in force; `null` takes back what was stored. `replace`:
    /// what is not named is taken back too. `expected` is given the settings as they are and may refuse.
    ///
    /// # Errors
    /// What `expected` refuses; `bad_argument` naming the key and what is valid; `conflict` for a key that the
    /// environment sets; `storage`.
    pub(crate) async fn change(
        &self,
        store: &Store,
        changes: &Map<String, Value>,
        replace: bool,
        expected: impl FnOnce(&[SettingView]) -> Result<(), UserError>,
    ) -> Result<Vec<SettingView>, UserError> {
        let mut stored = self.stored.lock().await;
        expected(&self.views(&stored))?;
        let mut after = if replace { BTreeMap::new() } else { stored.clone() };
        for (key, value) in changes {
            let spec = self.editable(key)?;
            if value.is_null() {
                after.remove(key);
            } else {
                spec.check(value)?;
                after.insert(key.clone(), value.clone());
            }
        }
        store.setting_set(STORED, &after).await.map_err(storage)?;
        self.put_in_force(&after);
        *stored = after;
        Ok(self.views(&stored))
    }

    /// The setting of that key, if it can be changed here.
    fn editable(&self, key: &str) -> Result<&'static Spec, UserError> {
        let Some(spec) = spec(key) else {
            if self.given.fixed.iter().any(|fixed| fixed.key == key) {
                let message = format!("`{key}` cannot be changed while the hub runs.");
                let hint = "Set it in the configuration file or the environment, and start the hub anew.";
                return Err(UserError::argument(key, message).with_hint(hint));
            }
            return Err(unknown(key));
        };
        if self.is_pinned(key) {
            let message = format!("`{key}` is set by the environment, which goes before what is stored.");
            let mut error = UserError::new(ErrorCode::Conflict, message).with_hint("Change it there.");
            error.argument = Some(key.to_owned());
            return Err(error);
        }
        Ok(spec)
    }

    fn is_pinned(&self, key: &str) -> bool {
        self.given.sources.get(key) == Some(&SettingSource::Environment)
    }

    /// What is in force with these stored values.
    fn resolved(&self, stored: &BTreeMap<String, Value>) -> EngineConfig {
        let mut config = self.base.clone();
        for (key, value) in stored {
            if let Some(spec) = spec(key).filter(|_| !self.is_pinned(key)) {
                (spec.write)(&mut config, value);
            }
        }
        config
    }

    fn views(&self, stored: &BTreeMap<String, Value>) -> Vec<SettingView> {
        let (now, defaults) = (self.now(), EngineConfig::default());
        let editable = SPECS.iter().map(|spec| {
            let pinned = self.is_pinned(spec.key);
            let source = if stored.contains_key(spec.key) && !pinned {
                SettingSource::Stored
            } else {
                self.given.sources.get(spec.key).cloned().unwrap_or(SettingSource::Default)
            };
            let (minimum, maximum) = match spec.takes {
                Takes::Number(Bounds { least, most }) => (Some(least), Some(most)),
                Takes::Switch | Takes::Address => (None, None),
            };
            SettingView {
                key: spec.key.to_owned(),
                value: (spec.read)(&now),
                default: (spec.read)(&defaults),
                explanation: spec.explanation.to_owned(),
                unit: spec.unit,
                takes: Some(spec.takes.name()),
                minimum,
                maximum,
                source,
                effect: SettingEffect::AtOnce,
                editable: !pinned,
            }
        });
        let fixed = self.given.fixed.iter().map(|fixed| SettingView {
            key: fixed.key.clone(),
            value: fixed.value.clone(),
            default: Value::Null,
            explanation: fixed.explanation.clone(),
            unit: None,
            takes: None,
            minimum: None,
            maximum: None,
            source: self.given.sources.get(&fixed.key).cloned().unwrap_or(SettingSource::Default),
            effect: SettingEffect::Fixed,
            editable: false,
        });
        editable.chain(fixed).collect()
    }
}

fn spec(key: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.key == key)
}

fn unknown(key: &str) -> UserError {
    let shown: String = key.chars().take(80).collect();
    let keys = || SPECS.iter().map(|spec| spec.key);
    let error = UserError::argument(&shown, format!("There is no setting `{shown}`.")).with_valid(keys());
    match suggest::nearest(&shown, keys()) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    }
}

/// Whether a value may be stored under this key.
///
/// # Errors
/// `bad_argument` naming the key and what is valid.
pub(crate) fn check(key: &str, value: &Value) -> Result<(), UserError> {
    spec(key).ok_or_else(|| unknown(key))?.check(value)
}

/// Whether the setting's value may hold a secret: addresses that are posted to often do.
pub(crate) fn is_secret(key: &str) -> bool {
    spec(key).is_some_and(|spec| matches!(spec.takes, Takes::Address))
}

#[cfg(test)]
mod tests;
