//! What of a picture is redrawn, and which render types can.

use comfyui::workflow::SlotKind;
use hub_core::{
    catalogue::{Mode, RenderType},
    error::UserError,
    ids::ArtifactId,
    request::{Area, ImageRef, ImageRequest, Part},
};

use crate::catalogue::{Runnable, Snapshot};

/// The slot that an area goes into.
fn slot(area: &Area) -> SlotKind {
    match area {
        Area::Mask(_) | Area::Region(_) => SlotKind::Mask,
        Area::Part(_) => SlotKind::Detector,
    }
}

/// The render type for an area of a request that names none: the default if it can, else the first that can.
pub(super) fn render_type<'a>(snapshot: &'a Snapshot, request: &ImageRequest) -> Option<&'a RenderType> {
    let area = request.area.as_ref().filter(|_| request.mode == Mode::Detail && request.render_type.is_none())?;
    let default = snapshot.catalogue.default_for(Mode::Detail).filter(|kind| can(snapshot, kind, slot(area)));
    default.or_else(|| able(snapshot, slot(area)).next())
}

/// Refuses an area that the render type has no place for, and a request without one that needs it. Answers the part
/// to look for.
///
/// # Errors
/// `bad_argument` naming the argument and the render types that can do it.
pub(super) fn check(
    snapshot: &Snapshot,
    render_type: &RenderType,
    runnable: &Runnable,
    request: &ImageRequest,
) -> Result<Option<Part>, UserError> {
    let name = &render_type.name;
    let refuse = |argument: &str, message: String, kind: SlotKind| {
        let others: Vec<&str> = able(snapshot, kind).map(|other| other.name.as_str()).collect();
        let error = UserError::argument(argument, message);
        Err(match others.as_slice() {
            [] => error,
            others => error.with_hint(format!("Render types that can: {}.", others.join(", "))),
        })
    };
    match &request.area {
        _ if request.mode != Mode::Detail => Ok(None),
        None if runnable.slots.has(SlotKind::Mask) => refuse(
            "region",
            format!("`{name}` must be told what to redraw: give `region` or `mask`, or have a `part` found."),
            SlotKind::Detector,
        ),
        Some(area @ Area::Part(part)) if !runnable.slots.has(slot(area)) => {
            refuse("part", format!("`{name}` cannot find a {} by itself.", part.as_str()), slot(area))
        }
        Some(Area::Part(part)) => Ok(Some(*part)),
        Some(area) if !runnable.slots.has(slot(area)) => {
            let argument = if matches!(area, Area::Mask(_)) { "mask" } else { "region" };
            refuse(argument, format!("`{name}` takes no `{argument}`: it finds what to redraw by itself."), slot(area))
        }
        None | Some(_) => Ok(None),
    }
}

/// What is drawn where a part is looked for and nothing is said about it.
pub(super) fn words(part: Part) -> &'static str {
    match part {
        Part::Face => "close-up of a face, detailed skin, clear eyes, natural expression",
        Part::Hand => "close-up of a hand, five fingers, natural pose, detailed skin",
    }
}

/// The mask, once it is stored.
pub(super) fn mask(request: &ImageRequest) -> Option<ArtifactId> {
    match &request.area {
        Some(Area::Mask(ImageRef::Artifact(id))) => Some(*id),
        _ => None,
    }
}

/// Visible render types for details that have a place for it.
fn able(snapshot: &Snapshot, kind: SlotKind) -> impl Iterator<Item = &RenderType> {
    snapshot.catalogue.visible(Mode::Detail).filter(move |render_type| can(snapshot, render_type, kind))
}

fn can(snapshot: &Snapshot, render_type: &RenderType, kind: SlotKind) -> bool {
    snapshot.runnable(render_type).is_some_and(|runnable| runnable.slots.has(kind))
}

/// Whether some visible render type finds parts by itself.
pub(crate) fn finds_parts(snapshot: &Snapshot) -> bool {
    able(snapshot, SlotKind::Detector).next().is_some()
}
