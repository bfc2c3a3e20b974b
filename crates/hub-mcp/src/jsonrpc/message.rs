//! JSON-RPC 2.0 messages as they come, and the errors they are answered with.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// A message that was understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// Wants an answer under this id: a text, a number or null.
    Request(Message, Value),
    /// Wants none.
    Notification,
}

/// What is asked.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
}

/// JSON-RPC's own error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Parse = -32700,
    InvalidRequest = -32600,
    MethodNotFound = -32601,
    InvalidParams = -32602,
    Internal = -32603,
    /// The older system's code for whatever else fails.
    Server = -32000,
}

/// An error as it is answered.
#[derive(Debug, PartialEq)]
pub(crate) struct RpcError {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) data: Option<Box<Value>>,
    /// The id under which it must be answered, where the message told one.
    pub(crate) id: Option<Box<Value>>,
}

impl RpcError {
    pub(crate) fn new(code: Code, text: String) -> Self {
        Self { code, text, data: None, id: None }
    }

    pub(crate) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    fn under(mut self, id: Option<&Value>) -> Self {
        self.id = id.filter(|id| is_id(id)).cloned().map(Box::new);
        self
    }

    /// HTTP status: 400 where nothing sensible was asked; a script can then see it without parsing.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            Code::Parse | Code::InvalidRequest => StatusCode::BAD_REQUEST,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::MethodNotFound | Code::InvalidParams | Code::Server => StatusCode::OK,
        }
    }

    /// The whole message. `id` is used where the error does not know its own.
    pub(crate) fn message(&self, id: &Value) -> Value {
        let mut error = json!({"code": self.code as i32, "message": self.text});
        if let (Some(data), Some(error)) = (&self.data, error.as_object_mut()) {
            error.insert("data".to_owned(), Value::clone(data));
        }
        json!({"jsonrpc": "2.0", "id": self.id.as_deref().unwrap_or(id), "error": error})
    }
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_number() || id.is_null()
}

impl Incoming {
    /// Reads one message.
    ///
    /// # Errors
    /// -32700 for what is no JSON, -32600 for JSON that is no message, -32602 for bad `params`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, RpcError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| RpcError::new(Code::Parse, format!("The body is not JSON: {error}.")))?;
        let invalid = |text: &str| RpcError::new(Code::InvalidRequest, text.to_owned());
        let mut object = match value {
            Value::Object(object) => object,
            Value::Array(_) => return Err(invalid("Batches are not taken; send one request per POST.")),
            _ => return Err(invalid("A request must be a JSON object.")),
        };
        let id = object.remove("id");
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(invalid("`id` must be a text, a number or null."));
        }
        let refuse = |text: &str| invalid(text).under(id.as_ref());
        let Some(Value::String(method)) = object.remove("method") else {
            return Err(refuse("`method` must be a text."));
        };
        let params = match object.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => {
                let error = RpcError::new(Code::InvalidParams, "`params` must be an object.".to_owned());
                return Err(error.under(id.as_ref()));
            }
        };
        Ok(match id {
            Some(id) => Self::Request(Message { method, params }, id),
            None => Self::Notification,
        })
    }
}

/// Name and arguments of a `tools/call`.
///
/// # Errors
/// -32602.
pub(crate) fn tool_call(mut params: Map<String, Value>) -> Result<(String, Map<String, Value>), RpcError> {
    let bad = |text: &str| RpcError::new(Code::InvalidParams, text.to_owned());
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(bad("`params.name` must be a text: the tool's name."));
    };
    match params.remove("arguments") {
        None | Some(Value::Null) => Ok((name, Map::new())),
        Some(Value::Object(arguments)) => Ok((name, arguments)),
        Some(_) => Err(bad("`params.arguments` must be an object.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Value {
        Incoming::parse(text.as_bytes()).expect_err("refused").message(&Value::Null)
    }

    #[test]
    fn ids_of_every_kind_come_back() {
        for id in ["7", "\"seven\"", "null", "7.5"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let Ok(Incoming::Request(message, got)) = Incoming::parse(text.as_bytes()) else { panic!("{id}") };
            assert_eq!((message.method.as_str(), got.to_string()), ("ping", id.to_owned()));
        }
    }

    #[test]
    fn a_number_as_id_is_the_same_number_when_it_is_read_again() {
        for id in [
            "7000000000000000000000000000000000000000",
            "0.1e-7",
            "1.7976931348623157e308",
            "-0",
            "18446744073709551616",
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let Ok(Incoming::Request(_, got)) = Incoming::parse(text.as_bytes()) else { panic!("{id}") };
            let read_again: Value = serde_json::from_str(&got.to_string()).expect("a number");
            let exact: f64 = id.parse().expect("a number");
            assert_eq!((read_again.as_f64(), &read_again), (Some(exact), &got), "{id}");
        }
    }

    #[test]
    fn a_message_without_id_is_a_notification() {
        assert_eq!(Incoming::parse(br#"{"jsonrpc":"2.0","method":"ping"}"#), Ok(Incoming::Notification));
    }

    #[test]
    fn each_fault_has_its_code_and_the_id_if_there_was_one() {
        assert_eq!(error("{")["error"]["code"], -32700);
        assert_eq!(error("[]")["error"]["code"], -32600);
        assert_eq!(error("7")["error"]["code"], -32600);
        assert_eq!(error(r#"{"id":{},"method":"x"}"#)["error"]["code"], -32600);
        let no_method = error(r#"{"id":3}"#);
        assert_eq!((&no_method["error"]["code"], &no_method["id"]), (&json!(-32600), &json!(3)));
        let bad_params = error(r#"{"id":"a","method":"x","params":[1]}"#);
        assert_eq!((&bad_params["error"]["code"], &bad_params["id"]), (&json!(-32602), &json!("a")));
    }
}
