use bytes::Bytes;
use hub_core::{
    job::JobState,
    request::{DescribeRequest, DescriptionKind, ImageRef, JobRequest},
};
use hub_engine::JobProgress;

use super::*;
use crate::{budget::InlinePicture, samples};

fn pictures(count: usize) -> Pictures {
    let picture = InlinePicture { mime: "image/jpeg".to_owned(), bytes: Bytes::from_static(b"jpeg") };
    Pictures { shown: vec![picture; count], ..Pictures::default() }
}

#[test]
fn a_success_has_text_then_pictures_then_links_and_a_record() {
    let view = samples::view(JobState::Succeeded, 2);
    insta::assert_json_snapshot!("success", of_ended(&view, &pictures(2), &samples::delivery()));
}

#[test]
fn no_picture_tool_answers_structured_content_unless_asked() {
    let view = samples::view(JobState::Succeeded, 1);
    let mut delivery = samples::delivery();
    assert_eq!(of_ended(&view, &pictures(1), &delivery).structured_content, None);
    delivery.structured = true;
    let result = of_ended(&view, &pictures(1), &delivery);
    let meta = result.meta.expect("a record");
    assert_eq!(result.structured_content.as_ref(), meta.get(RESULT_META_KEY));
}

#[test]
fn links_can_be_switched_off() {
    let view = samples::view(JobState::Succeeded, 1);
    let delivery = Delivery { links: false, ..samples::delivery() };
    let result = of_ended(&view, &pictures(1), &delivery);
    assert!(result.content.iter().all(|block| block.as_resource_link().is_none()));
}

#[test]
fn a_failure_is_words_for_the_model_and_a_record_for_programs() {
    let error = UserError::new(ErrorCode::UnknownStyle, "There is no style `cinematik`.")
        .with_hint("Did you mean `cinematic`?")
        .with_valid(["anime", "cinematic"]);
    insta::assert_json_snapshot!(
        "failed_job",
        of_ended(&samples::view(JobState::Failed(error), 0), &Pictures::default(), &samples::delivery())
    );
}

#[test]
fn a_job_that_was_cancelled_or_gave_up_is_an_error() {
    for (state, code) in [(JobState::Cancelled, "cancelled"), (JobState::Expired, "timed_out")] {
        let result = of_ended(&samples::view(state, 0), &Pictures::default(), &samples::delivery());
        assert_eq!(result.is_error, Some(true));
        assert_eq!(result.meta.expect("a record")[ERROR_META_KEY]["code"], code);
    }
}

#[test]
fn the_handle_says_how_to_go_on() {
    let mut view = samples::view(JobState::Queued, 0);
    let mut progress = JobProgress::of(&view.job);
    progress.queue_position = Some(3);
    view.progress = Some(progress);
    insta::assert_json_snapshot!("running", of_running(&view, &samples::delivery(), 45));
}

#[test]
fn a_description_is_its_own_text() {
    let mut view = samples::view(JobState::Succeeded, 0);
    let image = ImageRef::parse("https://example.com/a.png").expect("a reference");
    view.job.request =
        JobRequest::Describe(DescribeRequest { image, kind: DescriptionKind::Natural, language: "en".to_owned() });
    view.job.recipe = None;
    view.job.text = Some("A fox sits in snow.".to_owned());
    let result = of_ended(&view, &Pictures::default(), &samples::delivery());
    let text = &result.content[0].as_text().expect("a text").text;
    assert!(text.starts_with("A fox sits in snow.\n(job job_"), "{text}");
}
