use hub_core::request::{StyleChoice, ToolCall};
use serde_json::json;

use super::*;

fn typed(pairs: &[(&str, &str)]) -> Typed {
    let texts = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Typed::read(&FormFields { texts, ..FormFields::default() })
}

#[test]
fn a_filled_form_says_what_was_ticked_and_an_empty_one_says_none() {
    let form =
        typed(&[("prompt", "a fox\r\nin snow"), ("styles", "a"), ("styles", "b"), ("seed", " 42 "), ("enhance", "on")]);
    assert_eq!(
        Value::Object(form.arguments("generate_image")),
        json!({"prompt": "a fox\nin snow", "seed": 42, "styles": ["a", "b"], "enhance": true})
    );
    let call =
        ToolCall::parse("generate_image", &typed(&[("prompt", "x")]).arguments("generate_image")).expect("valid");
    let JobRequest::Image(request) = call.request else { panic!("an image") };
    assert_eq!((request.styles, request.enhance), (StyleChoice::Named(vec![]), Some(false)));
}

#[test]
fn a_number_that_is_none_is_told_in_the_tools_words() {
    for (field, value, said) in [
        ("seed", "-5", "-5"),
        ("seed", "18446744073709551616", "18446744073709551615"),
        ("seed", "many", "is a text"),
        ("width", "5", "from 16"),
    ] {
        let mut pairs = vec![("prompt", "x"), ("height", "512"), ("width", "512")];
        pairs.retain(|(name, _)| *name != field);
        pairs.push((field, value));
        let error = ToolCall::parse("generate_image", &typed(&pairs).arguments("generate_image")).expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some(field));
        assert!(error.message.contains(said), "{}", error.message);
    }
    let all = u64::MAX.to_string();
    assert_eq!(typed(&[("seed", &all)]).arguments("generate_image")["seed"], json!(u64::MAX));
}

#[test]
fn a_picked_picture_counts_unless_another_was_typed_since() {
    let image = |pairs: &[(&str, &str)]| typed(pairs).image;
    assert_eq!(image(&[("image", ""), ("image_before", ""), ("picked", "img_1")]), "img_1");
    assert_eq!(image(&[("image", "img_2"), ("image_before", "img_2"), ("picked", "img_1")]), "img_1");
    assert_eq!(image(&[("image", "img_3"), ("image_before", "img_2"), ("picked", "img_1")]), "img_3");
    assert_eq!(image(&[("image", "img_2"), ("image_before", "img_2")]), "img_2");
}

#[test]
fn a_name_that_is_taken_out_and_the_pick_of_none_leave_none() {
    for (typed_now, before, picked, meant) in [
        ("", "img_1", Some("img_1"), ""),
        (" ", "img_1", Some("img_1"), ""),
        ("", "img_1", Some("img_2"), "img_2"),
        ("", "img_1", None, ""),
        ("img_1", "img_1", Some(""), ""),
        ("", "img_1", Some(""), ""),
        ("", "", Some(""), ""),
        ("img_1", "", Some(""), "img_1"),
        ("img_2", "img_1", Some(""), "img_2"),
    ] {
        for (name, pick) in [("mask", "picked_mask"), ("image", "picked")] {
            let before_name = format!("{name}_before");
            let mut pairs = vec![(name, typed_now), (before_name.as_str(), before)];
            pairs.extend(picked.map(|picked| (pick, picked)));
            let form = typed(&pairs);
            let given = if name == "mask" { form.mask } else { form.image };
            assert_eq!(given.trim(), meant, "{pairs:?}");
        }
    }
    let boxed = typed(&[("mask", "img_1"), ("mask_before", "img_1"), ("picked_mask", ""), ("region", "0, 0, 1, 1")]);
    let arguments = boxed.arguments("detail_image");
    assert!(!arguments.contains_key("mask") && arguments.contains_key("region"), "{arguments:?}");
}

#[test]
fn a_box_comes_back_as_it_was_typed() {
    for (given, shown) in [([10.0, 20.0, 100.0, 50.5], "10, 20, 100, 50.5"), ([0.25, 0.0, 0.5, 1.0], "0.25, 0, 0.5, 1")]
    {
        let region = hub_core::request::Region::new(given).expect("valid");
        assert_eq!(region_text(&region), shown);
    }
}

#[test]
fn each_tool_is_given_only_its_own_arguments() {
    let pairs = [
        ("prompt", "x"),
        ("image", "img_00000000000000000000000000000001"),
        ("denoise", "0.3"),
        ("aspect_ratio", "1:1"),
        ("language", "fr"),
        ("description_type", "natural"),
        ("n", "3"),
        ("part", "face"),
        ("subject", "a harbour"),
        ("elements", "boats\r\n\r\nfog"),
        ("style", "none"),
    ];
    let prompt = typed(&pairs).arguments("generate_prompt");
    assert_eq!(Value::Object(prompt), json!({"subject": "a harbour", "style": "none", "elements": ["boats", "fog"]}));
    let boxed = typed(&[("region", "10, 20 100;50"), ("image", "x")]).arguments("detail_image");
    assert_eq!(boxed["region"], json!([10, 20, 100, 50]));
    for tool in hub_core::request::JOB_TOOLS {
        ToolCall::parse(tool, &typed(&pairs).arguments(tool)).expect(tool);
    }
}
