use super::*;

fn feed() -> Feed {
    Feed::new(DateTime::UNIX_EPOCH, CancellationToken::new())
}

fn sizes(queued: usize) -> FeedEvent {
    FeedEvent::Queue(QueueSizes { queued, ..QueueSizes::default() })
}

fn queued(news: &FeedNews) -> Option<usize> {
    match news {
        FeedNews::Event(_, event) => match **event {
            FeedEvent::Queue(sizes) => Some(sizes.queued),
            _ => None,
        },
        FeedNews::Anew(..) => None,
    }
}

async fn next(reader: &mut FeedReader) -> FeedNews {
    reader.next().await.expect("the feed goes on")
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let feed = feed();
    feed.tell(sizes(1));
    let mut reader = feed.follow(None);
    let FeedNews::Anew(Anew::Start, begin) = next(&mut reader).await else { panic!("it begins") };
    feed.tell(sizes(2));
    feed.tell_in_passing(sizes(99));
    feed.tell(sizes(3));
    let second = next(&mut reader).await;
    let FeedNews::Event(Some(seen), _) = second else { panic!("a change") };
    assert_eq!(queued(&second), Some(2));
    let passing = next(&mut reader).await;
    assert!(matches!(passing, FeedNews::Event(None, _)) && queued(&passing) == Some(99));
    drop(reader);
    feed.tell(sizes(4));
    for (last, expected) in [(begin, vec![2, 3, 4]), (seen, vec![3, 4])] {
        let mut again = feed.follow(Some(last.to_string().parse().expect("an id")));
        for number in expected {
            assert_eq!(queued(&next(&mut again).await), Some(number), "what passed by is not told again");
        }
        assert!(again.ahead.is_empty());
    }
}

#[tokio::test]
async fn who_comes_from_another_life_or_too_late_begins_anew() {
    let feed = feed();
    feed.tell(sizes(0));
    let first = feed.at(1);
    for _ in 0..KEPT {
        feed.tell(sizes(1));
    }
    let anew = async |last: FeedId| match next(&mut feed.follow(Some(last))).await {
        FeedNews::Anew(because, at) => Some((because, at)),
        FeedNews::Event(..) => None,
    };
    let newest = feed.at(KEPT as u64 + 1);
    assert_eq!(anew(first).await, None, "all that came after it is kept");
    assert_eq!(anew(feed.at(0)).await, Some((Anew::TooLongAgo, newest)));
    assert_eq!(anew(FeedId { process: 7, number: 1 }).await, Some((Anew::Restarted, newest)));
    assert_eq!(anew(feed.at(99_999)).await, Some((Anew::Restarted, newest)));
    for text in ["", "1", "x.1", "1.x", ".", "1.-1"] {
        assert!(text.parse::<FeedId>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_begins_anew() {
    let feed = feed();
    let mut slow = feed.follow(None);
    assert!(matches!(next(&mut slow).await, FeedNews::Anew(Anew::Start, _)));
    let told = 3 * BEHIND_MAX as u64;
    for _ in 0..told {
        feed.tell(sizes(1));
    }
    assert_eq!(next(&mut slow).await, FeedNews::Anew(Anew::TooSlow, feed.at(told)));
    feed.tell(sizes(2));
    let news = next(&mut slow).await;
    assert!(matches!(news, FeedNews::Event(Some(at), _) if at == feed.at(told + 1)), "{news:?}");
}

#[tokio::test]
async fn followers_leave_when_the_hub_stops() {
    let stop = CancellationToken::new();
    let feed = Feed::new(DateTime::UNIX_EPOCH, stop.clone());
    let mut reader = feed.follow(None);
    assert!(feed.is_followed());
    next(&mut reader).await;
    stop.cancel();
    assert_eq!(reader.next().await, None);
    drop(reader);
    assert!(!feed.is_followed());
}

#[tokio::test]
async fn who_follows_the_changes_alone_has_nothing_told_in_passing_for_it() {
    let feed = feed();
    assert!(!feed.is_followed());
    let mut content = feed.follow_changes();
    assert!(!feed.is_followed());
    assert!(matches!(next(&mut content).await, FeedNews::Anew(Anew::Start, _)));
    let other = feed.follow(None);
    assert!(feed.is_followed());
    feed.tell(sizes(1));
    assert_eq!(queued(&next(&mut content).await), Some(1));
    drop(content);
    assert!(feed.is_followed());
    drop(other);
    assert!(!feed.is_followed());
}
