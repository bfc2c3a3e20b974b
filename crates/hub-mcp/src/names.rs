//! Names that are part of the contract with clients.

/// Key of the machine-readable record in a tool result's `_meta`.
pub(crate) const RESULT_META_KEY: &str = "io.genimage/result";
/// Key of the machine-readable error in a failed tool result's `_meta`.
pub(crate) const ERROR_META_KEY: &str = "io.genimage/error";
/// Key of the options in the `_meta` of a `list_options` result.
pub(crate) const OPTIONS_META_KEY: &str = "io.genimage/options";
/// Key under which a request's `_meta` may carry an idempotency key.
pub(crate) const IDEMPOTENCY_META_KEY: &str = "io.genimage/idempotency-key";
/// HTTP header that may carry an idempotency key.
pub(crate) const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Key of the server's name and version in the `_meta` of results (2026-07-28).
pub(crate) const SERVER_INFO_META_KEY: &str = "io.modelcontextprotocol/serverInfo";
/// The server's name towards clients.
pub(crate) const SERVER_NAME: &str = "genimage-hub";

/// The server's version towards clients.
pub(crate) const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a model should know before its first call.
pub(crate) const INSTRUCTIONS: &str = "Makes pictures on a pool of ComfyUI servers. Call generate_image with a prompt; \
the answer holds a preview, an id and a URL for each picture. The same seed and arguments make the same picture. Show the user the URL. Pass an id (img_… or job_…) as \
`image` to upscale_image, edit_image, detail_image or describe_image, or a job id as `from_job` for variations. If an answer says `status: running`, call get_job with its \
job id until the picture is there; do not start the same picture again. list_options explains styles and render types.";
