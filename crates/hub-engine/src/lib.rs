//! Decisions and background work: everything between an accepted request and a stored picture.
//!
//! Edges call [`Engine`] and nothing else here. Two straight lines meet at the `jobs` table: down, in
//! the request, [`Engine::submit`] parses, plans and stores; across, in the background, the
//! dispatcher assigns jobs to servers and attempts follow them to their end.

mod artifacts;
mod attempt;
mod background;
pub mod backup;
mod callers;
mod catalogue;
mod checkup;
mod collect;
mod config;
pub mod configuration;
mod context;
mod crash;
mod describe;
mod dispatch;
mod dry_run;
mod ended;
mod engine;
mod events;
mod feed;
mod guarded;
mod import;
mod lease;
mod llm;
mod model_sources;
mod nearby;
mod parts;
mod persist;
mod plan;
mod planner;
mod pool;
mod prompt_generator;
mod reconcile;
mod refusal;
#[cfg(test)]
mod samples;
mod schedule;
mod secret;
mod seed;
mod settings;
mod showcase;
mod submit;
mod variation;
mod views;

/// Pictures that callers give, as every door of the hub checks them. Pure and blocking, without an engine.
pub mod pictures {
    pub use crate::artifacts::{Accepted, Sniffed, accept, from_data_uri};
}

pub use config::{AlertPolicy, AnswerPolicy, EngineConfig, Evict, InputPolicy, LeasePolicy};
pub use configuration::{
    ExportOptions, ExportParts, ImportAction, ImportChange, ImportMode, ImportOptions, ImportReport,
};
pub use crash::CrashPoint;
pub use describe::DescribeTemplates;
pub use dispatch::QueueDepths;
pub use engine::{CancelledJobs, Engine, JobMove, LlmModelView, ShowcasesAsked};
pub use feed::{Anew, FeedEvent, FeedId, FeedNews, FeedReader, InvalidFeedId, QueueSizes, ServerChange};
pub use model_sources::ModelSource;
pub use nearby::{Nearby, NearbyComfyUi, NearbyOllama, UsualPlaces};
pub use plan::{enhance::EnhanceTemplates, styles::combined};
pub use prompt_generator::PromptGeneratorSettings;
pub use reconcile::{FileCheck, RetentionPlan, RetentionPolicy, Status as ReconcilerStatus};
pub use settings::{FixedSetting, GivenSettings, SettingEffect, SettingSource, SettingView};
pub use showcase::{ShowcaseIndex, ShowcaseScene, ShowcaseView};
pub use views::{
    Alert, AlertKind, AttemptView, BreakerView, Conversion, DeviceView, ForeignQueue, ImportedWorkflow, InputHolds,
    InputView, InventoryState, InventoryView, JobHistory, JobProgress, JobView, JobWatch, Lack, LeaseHolder, LeaseView,
    LivePreview, NodeView, PlanView, PlannedServer, Precedence, Preview, PreviewBudget, ReconcilerRun, ReconcilerView,
    RenderTypeOnServer, ServerInfo, ServerLive, ServerTest, ServerView, ServerWhy, SlotView, StageName, StageOutcome,
    Submitted, TestStage, TimelinePoint, TimelineStep, TrialForm, WaitReason, WhyWaiting, WorkflowCheck,
    WorkflowOnServer,
};
