//! Scripted faults, and the TOML file that describes a double for `genimage sim comfyui --script FILE`.
//!
//! Owns what can go wrong, for whom ([`When`]) and how it is written down. It never acts on a fault: the parts of
//! the double ask the plan and act. A fault of a prompt is bound to that prompt when it is posted.
//!
//! ```toml
//! # every key of `ComfyConfig`, all optional
//! [server]
//! version = "0.33.0"
//! run_ms = 400
//! load_ms = 1500
//! preview = true
//! [server.models]
//! checkpoints = ["dream.safetensors"]
//! [server.auth]
//! kind = "bearer"                     # bearer | basic | header | comfy_login (with guest, cors)
//! token = "secret"
//!
//! [[fault]]                           # the third and fourth prompt fail with an out-of-memory error
//! kind = "execution_error"
//! when = { next = 2, skip = 2 }
//! exception_type = "torch.OutOfMemoryError"
//! message = "Allocation on device"
//!
//! [[fault]]                           # every prompt that mentions a fox takes three times as long
//! kind = "slow"
//! when = { containing = "fox" }
//! factor = 3.0
//!
//! [[fault]]
//! kind = "http"
//! when = "always"
//! route = "GET /view"
//! status = 502
//! body = "bad gateway"
//! ```
//! `when` defaults to the next prompt (or request) only.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::comfyui::ComfyConfig;

/// The moment at which [`Fault::Die`] takes the process down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DieAt {
    /// While `POST /prompt` is being answered: nothing was queued, the caller sees a broken connection.
    BeforeAccept,
    /// Just after the 200 of `POST /prompt` was sent; the prompt never runs.
    AfterAccept,
    /// Half-way through the run.
    MidRun,
    /// After `execution_success`, before the history entry exists.
    BeforeHistory,
}

/// One thing that goes wrong. Inject it with [`crate::ComfySim::inject`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The process dies: sockets drop without a close frame and the port refuses until `restart`.
    Die {
        /// When.
        at: DieAt,
    },
    /// The job starts and then runs for ever without events. Interrupts do not help; `clear_faults` lets it go on.
    Hang,
    /// The job stands still half-way through its run until `clear_faults` lets it go on; an interrupt ends it.
    Hold,
    /// From the matching prompt on the worker is dead: prompts stay pending, HTTP is healthy.
    ZombieWorker,
    /// The job's socket is cut half-way through the run; the run goes on.
    DropSocket,
    /// The job's socket (as it is when the prompt is posted) stays open but receives nothing more.
    Deaf,
    /// The process dies half-way through the run and is back at once with empty queue and history.
    RestartEmpty,
    /// The run takes longer.
    Slow {
        /// How many times as long; 1.0 is as ever.
        factor: f64,
    },
    /// A route answers this instead.
    Http {
        /// Path, with or without a method before it (`"/view"`, `"POST /prompt"`); covers sub-paths.
        route: String,
        /// HTTP status.
        status: u16,
        /// The answer's body, as it stands.
        body: String,
    },
    /// A node raises.
    ExecutionError {
        /// Its id. Default: the first sampler, else the last node.
        node: Option<String>,
        /// Python's name of the exception, such as `torch.OutOfMemoryError`.
        exception_type: String,
        /// What the exception says.
        message: String,
    },
    /// A file is missing from every model list for as long as the fault is active.
    MissingModel {
        /// The file's name, as the lists have it.
        name: String,
    },
    /// `POST /prompt` answers 500 although the prompt is queued and runs.
    QueuedBut500,
    /// `POST /prompt` never answers although the prompt is queued and runs.
    AcceptThenTimeout,
    /// The prompt succeeds but its files are gone: `/view` answers 404.
    ViewMissing,
    /// Every HTTP route answers 200 with a login page in HTML.
    HtmlAnswers,
    /// `POST /prompt` answers 200 with a non-empty `node_errors`; the prompt runs.
    NodeErrors200,
    /// Events and binary frames of unknown types are mixed into the run.
    UnknownEvents,
    /// Somebody else interrupts the run half-way.
    Interrupted,
}

impl Fault {
    /// The usual out-of-memory error of a node.
    pub fn out_of_memory() -> Fault {
        Fault::ExecutionError {
            node: None,
            exception_type: "torch.OutOfMemoryError".to_owned(),
            message: "Allocation on device \nThis error means you ran out of memory on your GPU.".to_owned(),
        }
    }

    /// For the next `n` prompts (or requests).
    pub fn next(self, n: u32) -> Injection {
        Injection { fault: self, when: When::Next { next: n, skip: 0 } }
    }

    /// For every prompt (or request) until `clear_faults`.
    pub fn always(self) -> Injection {
        Injection { fault: self, when: When::Always }
    }

    /// For every prompt whose body (or request whose path) contains `text`.
    pub fn containing(self, text: impl Into<String>) -> Injection {
        Injection { fault: self, when: When::Containing { containing: text.into() } }
    }

    /// True for the faults that strike requests, not prompts.
    fn is_of_requests(&self) -> bool {
        matches!(self, Fault::Http { .. } | Fault::HtmlAnswers)
    }

    /// True when the request line matches a fault of requests. `path` is without prefix and `/api`.
    fn strikes(&self, method: &str, path: &str) -> bool {
        match self {
            Fault::HtmlAnswers => true,
            Fault::Http { route, .. } => {
                let (wanted_method, wanted) = match route.split_once(' ') {
                    Some((m, p)) => (Some(m), p),
                    None => (None, route.as_str()),
                };
                wanted_method.is_none_or(|m| m.eq_ignore_ascii_case(method))
                    && (path == wanted || path.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/')))
            }
            _ => false,
        }
    }
}

/// Which prompts (or, for `Http` and `HtmlAnswers`, requests) a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WhenText", into = "WhenText")]
pub enum When {
    /// The next `next` ones after `skip` untouched ones.
    Next {
        /// How many. Default 1.
        next: u32,
        /// How many are left alone before. Default 0.
        skip: u32,
    },
    /// All of them.
    Always,
    /// Those that contain the text.
    Containing {
        /// The text, in the same case.
        containing: String,
    },
}

/// How [`When`] is written in a script: `"always"`, `{ next = 2 }` or `{ containing = "fox" }`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WhenText {
    Next {
        next: u32,
        #[serde(default)]
        skip: u32,
    },
    Containing {
        containing: String,
    },
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Always,
    Next,
}

impl From<WhenText> for When {
    fn from(text: WhenText) -> When {
        match text {
            WhenText::Next { next, skip } => When::Next { next, skip },
            WhenText::Containing { containing } => When::Containing { containing },
            WhenText::Word(Word::Always) => When::Always,
            WhenText::Word(Word::Next) => When::default(),
        }
    }
}

impl From<When> for WhenText {
    fn from(when: When) -> WhenText {
        match when {
            When::Next { next, skip } => WhenText::Next { next, skip },
            When::Containing { containing } => WhenText::Containing { containing },
            When::Always => WhenText::Word(Word::Always),
        }
    }
}

impl Default for When {
    fn default() -> When {
        When::Next { next: 1, skip: 0 }
    }
}

impl When {
    /// Whether this occurrence is struck; counts down.
    fn hits(&mut self, text: &str) -> bool {
        match self {
            When::Always => true,
            When::Containing { containing } => text.contains(containing.as_str()),
            When::Next { skip, .. } if *skip > 0 => {
                *skip -= 1;
                false
            }
            When::Next { next, .. } => {
                let hit = *next > 0;
                *next = next.saturating_sub(1);
                hit
            }
        }
    }

    fn is_spent(&self) -> bool {
        matches!(self, When::Next { next: 0, .. })
    }
}

/// A fault and whom it strikes; a bare [`Fault`] strikes the next prompt (or request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injection {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// For whom. Default: the next one.
    #[serde(default)]
    pub when: When,
}

impl From<Fault> for Injection {
    fn from(fault: Fault) -> Injection {
        Injection { fault, when: When::default() }
    }
}

/// The faults that are armed.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    armed: Vec<Injection>,
}

impl FaultPlan {
    pub(crate) fn arm(&mut self, injection: Injection) {
        self.armed.push(injection);
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The faults of a prompt with this body.
    pub(crate) fn for_prompt(&mut self, body: &str) -> Vec<Fault> {
        self.take(|fault| !fault.is_of_requests() && !matches!(fault, Fault::MissingModel { .. }), body)
    }

    /// The faults of a request.
    pub(crate) fn for_request(&mut self, method: &str, path: &str) -> Option<Fault> {
        self.take(|fault| fault.is_of_requests() && fault.strikes(method, path), path).into_iter().next()
    }

    /// True when a fault names this route.
    pub(crate) fn has_route(&self, path: &str) -> bool {
        self.armed.iter().any(|i| matches!(&i.fault, Fault::Http { .. }) && i.fault.strikes("GET", path))
    }

    /// Model files that must not be listed.
    pub(crate) fn missing_models(&self) -> Vec<String> {
        self.armed
            .iter()
            .filter_map(|i| match &i.fault {
                Fault::MissingModel { name } => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    fn take(&mut self, wanted: impl Fn(&Fault) -> bool, text: &str) -> Vec<Fault> {
        let mut hit = Vec::new();
        for injection in &mut self.armed {
            if wanted(&injection.fault) && injection.when.hits(text) {
                hit.push(injection.fault.clone());
            }
        }
        self.armed.retain(|i| !i.when.is_spent());
        hit
    }
}

/// A script could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read the script {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is not TOML, or holds something that no script has.
    #[error("the script is not valid: {0}")]
    Parse(#[from] toml::de::Error),
}

/// A configured double and its faults, as written in a script file (see the module text).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// How the double behaves when nothing goes wrong.
    pub server: ComfyConfig,
    /// What goes wrong, in the order of arming.
    pub fault: Vec<Injection>,
}

impl Script {
    /// Reads a script from TOML text.
    ///
    /// # Errors
    /// [`ScriptError::Parse`] with the line that is wrong.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        Ok(toml::from_str(text)?)
    }

    /// Reads a script file.
    ///
    /// # Errors
    /// [`ScriptError`] when the file cannot be read or understood.
    pub fn load(path: &Path) -> Result<Script, ScriptError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScriptError::Read { path: path.display().to_string(), source })?;
        Script::parse(&text)
    }
}
