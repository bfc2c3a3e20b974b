//! The MCP handler: every request of both eras ends here.

mod calls_in_flight;
mod listening;

use std::sync::Arc;

use http::request::Parts;
use hub_core::trace::TraceParent;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        CancelledNotificationParam, CompleteRequestParams, CompleteResult, CreateTaskResult, DiscoverResult,
        GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SubscribeRequestParams,
        SubscriptionFilter, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Map, Value, json};

use self::{calls_in_flight::CallsInFlight, listening::Listening};
use crate::{
    apps,
    calls::{self, Begun},
    completion,
    delivery::Delivery,
    follow::{Followed, follow},
    hub::{Hub, log_failure},
    listing::{implementation, server_info_meta},
    names::{IDEMPOTENCY_HEADER, IDEMPOTENCY_META_KEY, INSTRUCTIONS},
    progress::ProgressTeller,
    prompts,
    resources::{self, Address},
    result, tasks,
    tools::{HubTool, cancel_job, list_options, may_call},
};

/// How long a client may keep what never changes, in milliseconds.
pub(crate) const FIXED_TTL_MS: u64 = 3_600_000;

/// Answers one session, or one request where there are no sessions.
#[derive(Clone)]
pub(crate) struct HubHandler {
    hub: Arc<Hub>,
    session: Arc<Session>,
}

/// What lives as long as a session does.
#[derive(Default)]
struct Session {
    calls: CallsInFlight,
    listening: Listening,
}

/// What a handler needs to know of one request.
struct Scene {
    delivery: Delivery,
    /// The request is of 2026-07-28 or later.
    current_era: bool,
    /// A closed stream means that the caller wants no more of it: so in the current era over HTTP.
    leaving_cancels: bool,
    /// The client can be given a task instead of a result.
    takes_tasks: bool,
}

impl HubHandler {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, session: Arc::default() }
    }

    fn scene(&self, context: &RequestContext<RoleServer>) -> Scene {
        let parts = context.extensions.get::<Parts>();
        let mut delivery = match parts {
            Some(parts) => Delivery::of_extensions(&parts.extensions, &self.hub.config),
            None => Delivery::of_stdio(&self.hub.config),
        };
        // What the caller says of the call itself is nearer than what HTTP's hops say of the request.
        delivery.trace = trace_in_meta(context).or(delivery.trace);
        let current_era = is_current_era(context);
        // The extension must not be honoured in earlier eras, whatever the client declared.
        let takes_tasks =
            current_era && context.client_capabilities().is_some_and(|declared| declared.supports_tasks());
        Scene { delivery, current_era, leaving_cancels: current_era && parts.is_some(), takes_tasks }
    }

    /// A call of a tool that makes a job.
    async fn call_job_tool(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        scene: &Scene,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, hub_core::error::UserError> {
        let hub = &*self.hub;
        if let Some(plan) = calls::planned(hub, name, arguments, &scene.delivery).await? {
            return Ok(plan.into());
        }
        let call = self.session.calls.begin(context.id.clone());
        let key = outside_key(context);
        let Begun { submitted, options } = calls::begin(hub, name, arguments, key.as_deref(), &scene.delivery).await?;
        let job = submitted.job.id;
        // A cancellation may have overtaken the submit: then the job must not outlive it.
        if !call.runs(job) {
            hub.engine.cancel(job).await?;
        }
        let wait = calls::wait(hub, options.wait_s);
        let wait = if scene.takes_tasks { wait.min(tasks::GRACE) } else { wait };
        match follow(&hub.engine, job, wait, teller(context), &context.ct).await? {
            Followed::Ended(view) => Ok(calls::ended(hub, &view, options.inline, &scene.delivery).await.into()),
            Followed::Running(view) if scene.takes_tasks => {
                Ok(CreateTaskResult::new(tasks::task_of(hub, &view)).into())
            }
            Followed::Running(view) => Ok(calls::running(hub, &view, &scene.delivery).into()),
            Followed::Left if hub.closing.is_cancelled() => {
                let view = hub.engine.view(job).await?;
                Ok(calls::running(hub, &view, &scene.delivery).into())
            }
            Followed::Left => {
                // A job that this call only found belongs to another, which may still wait for it.
                if scene.leaving_cancels && !submitted.replayed {
                    tracing::info!(%job, "its caller left: cancelling");
                    hub.engine.cancel(job).await?;
                } else if !scene.leaving_cancels {
                    call.linger().await;
                }
                Err(calls::gone())
            }
        }
    }
}

fn is_current_era(context: &RequestContext<RoleServer>) -> bool {
    // Revisions are dates, which sort as text.
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Where the call's trace goes on, as MCP carries it (SEP-414).
fn trace_in_meta(context: &RequestContext<RoleServer>) -> Option<TraceParent> {
    TraceParent::parse(context.meta.get("traceparent")?.as_str()?)
}

/// An idempotency key beside the arguments.
fn outside_key(context: &RequestContext<RoleServer>) -> Option<String> {
    let in_meta = context.meta.get(IDEMPOTENCY_META_KEY).and_then(Value::as_str);
    let in_header = || context.extensions.get::<Parts>()?.headers.get(IDEMPOTENCY_HEADER)?.to_str().ok();
    in_meta.or_else(in_header).map(str::to_owned)
}

fn teller(context: &RequestContext<RoleServer>) -> Option<ProgressTeller> {
    context.meta.get_progress_token().map(|token| ProgressTeller::new(context.peer.clone(), token))
}

/// Adds who we are, where the era wants it in every result.
fn stamp(scene: &Scene, response: CallToolResponse) -> CallToolResponse {
    match response {
        CallToolResponse::Complete(mut result) if scene.current_era => {
            result.meta.get_or_insert_default().extend(server_info_meta());
            CallToolResponse::Complete(result)
        }
        other => other,
    }
}

impl ServerHandler for HubHandler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_extensions_with(apps::capability())
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(implementation()).with_instructions(INSTRUCTIONS)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        let mut result = DiscoverResult::from_server_info(versions, self.get_info()).with_ttl_ms(FIXED_TTL_MS);
        result.cache_scope = CacheScope::Public;
        Ok(result)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(page)?;
        let shows_views = context.client_capabilities().is_some_and(|declared| apps::shown_by(&declared));
        let mut answer = self.hub.listing().answer(is_current_era(&context), shows_views);
        let caller = self.scene(&context).delivery.caller;
        if let Some(rights) = self.hub.engine.rights_of(&caller) {
            answer.tools.retain(|tool| may_call(&rights, &tool.name));
        }
        Ok(answer)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = HubTool::named(&request.name)
            .map_err(|error| ErrorData::invalid_params(error.explain(), Some(result::error_record(&error))))?;
        let scene = self.scene(&context);
        let arguments = request.arguments.unwrap_or_default();
        let answered: Result<CallToolResponse, _> = match tool {
            HubTool::Job(name) => self.call_job_tool(name, &arguments, &scene, &context).await,
            HubTool::GetJob => {
                let told = teller(&context);
                calls::get_job(&self.hub, &arguments, &scene.delivery, told, &context.ct).await.map(Into::into)
            }
            HubTool::CancelJob => cancel_job(&self.hub.engine, &arguments, &scene.delivery).await.map(Into::into),
            HubTool::ListOptions => list_options(&self.hub.catalogue(), &arguments, &scene.delivery).map(Into::into),
        };
        let response = answered.unwrap_or_else(|error| {
            log_failure("a tool call", &error);
            CallToolResult::into(result::of_error(&error))
        });
        Ok(stamp(&scene, response))
    }

    async fn on_cancelled(&self, notification: CancelledNotificationParam, _context: NotificationContext<RoleServer>) {
        let Some(job) = notification.request_id.and_then(|id| self.session.calls.cancel(&id)) else { return };
        tracing::info!(%job, "cancelled by its caller");
        if let Err(error) = self.hub.engine.cancel(job).await {
            log_failure("a cancellation", &error);
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        // What comes of it is sent by the session's own task.
        self.session.listening.begin(&self.hub, &context.peer);
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let address = Address::parse(&request.uri).ok_or_else(|| resources::not_found(&request.uri))?;
        if !resources::exists(&self.hub, &address, &self.scene(&context).delivery.caller).await {
            return Err(resources::not_found(&request.uri));
        }
        self.session.listening.add(&self.hub, &context.peer, request.uri, address).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.listening.remove(request.uri).await;
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = requested.supported_by(&self.get_info().capabilities);
        if let Some(uris) = &mut accepted.resource_subscriptions {
            uris.retain(|uri| Address::parse(uri).is_some());
        }
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.scene(context.request_context()).delivery.caller;
        listening::serve(&self.hub, &context, &caller).await
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = page.and_then(|page| page.cursor);
        resources::list(&self.hub, cursor.as_deref(), &self.scene(&context).delivery.caller).await
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(resources::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.hub, &request.uri, &self.scene(&context).delivery).await
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(prompts::list())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&request)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        completion::complete(&self.hub, &request, &self.scene(&context).delivery.caller).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.hub, &request.task_id, &self.scene(&context).delivery).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::update(&self.hub, &request.task_id, &self.scene(&context).delivery).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.hub, &request.task_id, &self.scene(&context).delivery).await
    }
}

/// Every list fits one page, so no cursor was ever handed out.
fn refuse_cursor(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match page.and_then(|page| page.cursor) {
        None => Ok(()),
        Some(cursor) => {
            Err(ErrorData::invalid_params("This cursor was not given out here.", Some(json!({"cursor": cursor}))))
        }
    }
}
