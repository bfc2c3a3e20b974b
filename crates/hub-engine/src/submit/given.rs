//! The pictures of a request: stored before its job, and marked as what they are used as once the job stands.

use hub_core::{
    artifact::Artifact,
    error::UserError,
    request::{Area, ImageRef, JobRequest},
};
use hub_store::NewJob;

use super::{size_of, stored_picture};
use crate::context::Context;

/// The stored pictures of a request.
#[derive(Default)]
pub(super) struct Given {
    input: Option<Artifact>,
    mask: Option<Artifact>,
}

impl Given {
    /// Has them count as what they are used as, now that the job stands. One that is both can be picked to work on.
    pub(super) async fn mark(&self, ctx: &Context) {
        let mask = self.mask.as_ref().filter(|mask| self.input.as_ref().is_none_or(|input| input.id != mask.id));
        for (picture, is_mask) in [(self.input.as_ref(), false), (mask, true)] {
            let Some(picture) = picture else { continue };
            if let Err(error) = ctx.vault.mark(picture, is_mask).await {
                tracing::warn!(picture = %picture.id, error = %error, "what a picture was given as is not noted");
            }
        }
    }
}

/// Stores the request's picture and names it by id, so that it is never fetched twice.
pub(super) async fn store_input(ctx: &Context, new: &mut NewJob) -> Result<Given, UserError> {
    let reference = match &mut new.request {
        JobRequest::Image(image) => image.input.as_mut(),
        JobRequest::Describe(describe) => Some(&mut describe.image),
        JobRequest::Prompt(_) => None,
    };
    let Some(reference) = reference else { return Ok(Given::default()) };
    let (picture, notes) = stored_picture(ctx, &new.caller, reference).await?;
    *reference = ImageRef::Artifact(picture.id);
    new.warnings.extend(notes);
    if let Some(recipe) = &mut new.recipe {
        recipe.input = Some(picture.id);
    }
    Ok(Given { mask: store_mask(ctx, new, &picture).await?, input: Some(picture) })
}

/// Stores the mask of a request that has one, or makes it from its box, and names it by id.
async fn store_mask(ctx: &Context, new: &mut NewJob, picture: &Artifact) -> Result<Option<Artifact>, UserError> {
    let JobRequest::Image(image) = &mut new.request else { return Ok(None) };
    let mask = match &image.area {
        None | Some(Area::Part(_)) => return Ok(None),
        Some(Area::Mask(reference)) => {
            let (mask, notes) = stored_picture(ctx, &new.caller, reference).await.map_err(|mut error| {
                error.argument = Some("mask".to_owned());
                error
            })?;
            if ctx.vault.is_black(mask.id).await? {
                let error = UserError::argument("mask", "`mask` is wholly black, so nothing would be redrawn.");
                return Err(error.with_hint("Paint white what is to be redrawn, or give `region`."));
            }
            new.warnings.extend(notes);
            mask
        }
        Some(Area::Region(region)) => {
            let size = size_of(picture);
            ctx.vault.store_box_mask(size, region.within(size)?).await?
        }
    };
    image.area = Some(Area::Mask(ImageRef::Artifact(mask.id)));
    if let Some(recipe) = &mut new.recipe {
        recipe.mask = Some(mask.id);
    }
    Ok(Some(mask))
}
