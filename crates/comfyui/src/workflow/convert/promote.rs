//! Widgets of inner nodes that a subgraph shows on its outside.
//!
//! Two ways exist in files. An input of the subgraph leads to an inner widget: the instance holds a value for
//! it. And `proxyWidgets` lists inner widgets by node and name: the instance holds their values in that order.
//! Owns which value an instance gives to what; where the inner nodes are is not its business.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::expand::MAX_DEPTH;
use super::ui::{Definition, Document, Saved, UiNode};
use super::widgets;
use crate::wire::ObjectInfo;

/// The values an instance of a subgraph gives to its inside.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// By input of the definition; `None` where no widget stands behind the input.
    pub inputs: Vec<Option<Value>>,
    /// By inner node and widget.
    pub inner: Vec<Inner>,
}

/// A value for a widget of an inner node.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    pub node: String,
    pub widget: String,
    /// Tells apart widgets of one name in an inner subgraph: the node there that has it.
    deeper: Option<String>,
    pub value: Option<Value>,
}

impl Host {
    /// The value for a widget of an inner node, if this instance gives one.
    pub(super) fn value_for(&self, node: &str, widget: &str) -> Option<&Value> {
        self.inner.iter().find(|inner| inner.node == node && inner.widget == widget)?.value.as_ref()
    }

    /// The value for an inner node that has one widget only.
    pub(super) fn only_value_for(&self, node: &str) -> Option<&Value> {
        self.inner.iter().filter(|inner| inner.node == node).find_map(|inner| inner.value.as_ref())
    }
}

/// Finds what instances give to their insides.
#[derive(Debug)]
pub(super) struct Promotions<'a> {
    document: &'a Document<'a>,
    info: &'a ObjectInfo,
    /// How deep the search is inside subgraphs.
    depth: Cell<usize>,
    /// What instances give by themselves; `None` while it is being found out, which ends circles.
    known: RefCell<HashMap<*const UiNode<'a>, Option<Rc<Host>>>>,
}

impl<'a> Promotions<'a> {
    pub(super) fn new(document: &'a Document<'a>, info: &'a ObjectInfo) -> Self {
        Self { document, info, depth: Cell::default(), known: RefCell::default() }
    }

    /// What an instance gives to its inside, with what the instance around it says about it.
    pub(super) fn host(
        &self,
        id: &str,
        node: &'a UiNode<'a>,
        definition: &'a Definition<'a>,
        around: Option<&Host>,
    ) -> Host {
        let mut host = self.own(node, definition).map(|host| (*host).clone()).unwrap_or_default();
        for from in around.into_iter().flat_map(|around| &around.inner).filter(|inner| inner.node == id) {
            if let Some(value) = &from.value {
                Self::assign(&mut host, definition, from, value);
            }
        }
        host
    }

    fn own(&self, node: &'a UiNode<'a>, definition: &'a Definition<'a>) -> Option<Rc<Host>> {
        let key = std::ptr::from_ref(node);
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        if self.depth.get() >= MAX_DEPTH {
            return None;
        }
        self.known.borrow_mut().insert(key, None);
        self.depth.set(self.depth.get() + 1);
        let host = Rc::new(self.find_own(node, definition));
        self.depth.set(self.depth.get() - 1);
        self.known.borrow_mut().insert(key, Some(Rc::clone(&host)));
        Some(host)
    }

    fn find_own(&self, node: &'a UiNode<'a>, definition: &'a Definition<'a>) -> Host {
        let inputs = (0..definition.inputs.len()).map(|index| self.inside_value(definition, index)).collect();
        let mut host = Host { inputs, inner: Vec::new() };
        let values = match node.values {
            Saved::Listed(values) => values,
            Saved::Named(named) => {
                for (port, value) in definition.inputs.iter().zip(&mut host.inputs) {
                    if let (Some(value), Some(saved)) = (value, named.get(port.name)) {
                        *value = saved.clone();
                    }
                }
                &[]
            }
        };
        for (value, saved) in host.inputs.iter_mut().flatten().zip(values) {
            if !saved.is_null() {
                *value = saved.clone();
            }
        }
        for (index, entry) in proxies(node).enumerate() {
            let value = values.get(index).filter(|value| !value.is_null());
            Self::proxy(&mut host, definition, entry, value);
        }
        for (input, value) in kept_back(node) {
            if let Some(Some(held)) = definition.input_index(input).and_then(|index| host.inputs.get_mut(index)) {
                *held = value.clone();
            }
        }
        host
    }

    /// One entry of `proxyWidgets`.
    fn proxy(host: &mut Host, definition: &'a Definition<'a>, entry: Inner, value: Option<&Value>) {
        if entry.widget.starts_with("$$") {
            return;
        }
        let by_name = (entry.node == "-1").then(|| definition.input_index(&entry.widget)).flatten();
        let index = by_name.or_else(|| {
            (0..definition.inputs.len()).find(|index| {
                let source = source(definition, *index);
                source.is_some_and(|(node, widget)| node == entry.node && widget == entry.widget)
            })
        });
        match (index.and_then(|index| host.inputs.get_mut(index)), value) {
            (Some(held), Some(value)) => *held = Some(value.clone()),
            (Some(_), None) => {}
            (None, value) => host.inner.push(Inner { value: value.cloned(), ..entry }),
        }
    }

    /// Gives a value from the instance around to what it names in this one.
    fn assign(host: &mut Host, definition: &'a Definition<'a>, from: &Inner, value: &Value) {
        let exact = definition.input_index(&from.widget).filter(|_| from.deeper.is_none());
        let index = exact.or_else(|| {
            (0..definition.inputs.len()).find(|index| {
                source(definition, *index).is_some_and(|(node, widget)| {
                    widget == from.widget && from.deeper.as_deref().is_none_or(|deeper| deeper == node)
                })
            })
        });
        if let Some(held) = index.and_then(|index| host.inputs.get_mut(index)) {
            *held = Some(value.clone());
            return;
        }
        let same = |inner: &&mut Inner| {
            inner.widget == from.widget && from.deeper.as_deref().is_none_or(|deeper| deeper == inner.node)
        };
        if let Some(inner) = host.inner.iter_mut().find(same) {
            inner.value = Some(value.clone());
        }
    }

    /// The value of the widget that an input of a subgraph leads to, as the inside has it.
    fn inside_value(&self, definition: &'a Definition<'a>, index: usize) -> Option<Value> {
        definition.inputs.get(index)?.links.iter().find_map(|id| {
            let node = definition.scope.nodes.get(&definition.scope.links[id].target)?;
            let slot = node.input_of_link(id)?;
            if let Some(inner) = self.document.definitions.get(node.class) {
                let host = self.own(node, inner)?;
                return host.inputs.get(inner.input_index(slot.name)?)?.clone();
            }
            match self.info.node(node.class) {
                Some(info) => widgets::lay_out(node.class, info, node.values).widget(slot.name)?.value.clone(),
                None => slot.widget.then_some(Value::Null),
            }
        })
    }
}

/// The inner node and the name of its widget or input that an input of a subgraph leads to first.
fn source<'a>(definition: &'a Definition<'a>, index: usize) -> Option<(&'a str, &'a str)> {
    definition.inputs.get(index)?.links.iter().find_map(|id| {
        let target = &definition.scope.links[id].target;
        let (target_id, node) = definition.scope.nodes.get_key_value(target.as_str())?;
        Some((target_id.as_str(), node.input_of_link(id)?.name))
    })
}

/// `[["3", "seed"], ["-1", "text"], ["6", "4: text"], …]`
fn proxies<'a>(node: &UiNode<'a>) -> impl Iterator<Item = Inner> + use<'a> {
    let listed = node.properties.and_then(|properties| properties.get("proxyWidgets")).and_then(Value::as_array);
    listed.into_iter().flatten().map(|entry| {
        let part = |index: usize| entry.get(index).and_then(Value::as_str);
        let (widget, prefix) = strip_prefixes(part(1).unwrap_or_default());
        let deeper = prefix.or(part(2)).map(str::to_owned);
        Inner { node: part(0).unwrap_or_default().to_owned(), widget: widget.to_owned(), deeper, value: None }
    })
}

/// `4: text` names a widget of the inner node 4 of an inner subgraph.
fn strip_prefixes(name: &str) -> (&str, Option<&str>) {
    let (mut rest, mut prefix) = (name, None);
    while let Some((id, tail)) = rest.split_once(':') {
        let (id, tail) = (id.trim(), tail.trim_start());
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) || tail.is_empty() {
            break;
        }
        (rest, prefix) = (tail, Some(id));
    }
    (rest, prefix)
}

/// Values that the editor kept because it could not place them when it modernised the file.
fn kept_back<'a>(node: &UiNode<'a>) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let listed = node.properties.and_then(|properties| properties.get("proxyWidgetErrorQuarantine"));
    listed.and_then(Value::as_array).into_iter().flatten().filter_map(|entry| {
        let original = entry.get("originalEntry")?;
        let input = original.get(1)?.as_str().filter(|_| original.get(0).and_then(Value::as_str) == Some("-1"))?;
        Some((input, entry.get("hostValue")?))
    })
}
