use clock::{ManualClock, utc};

use super::*;

const QUEUE: &str = "jobs";

fn queues(settings: Settings) -> (Queues, ManualClock) {
    let (clock, hand) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let queues = Queues::new(clock);
    queues.create("dead", Settings::default());
    queues.create(QUEUE, settings);
    (queues, hand)
}

fn plain() -> (Queues, ManualClock) {
    queues(Settings::default())
}

fn send(queues: &Queues, body: &str) -> String {
    queues.send(QUEUE, Outgoing { body: body.to_owned(), ..Outgoing::default() }).unwrap().message_id
}

fn receive(queues: &Queues, max: usize) -> Vec<Received> {
    queues.receive(QUEUE, max, None).unwrap()
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| &*message.body).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn messages_come_in_the_order_in_which_they_were_sent_and_only_once_while_hidden() {
    let (queues, hand) = plain();
    for body in ["a", "b", "c"] {
        send(&queues, body);
    }
    assert_eq!(bodies(&receive(&queues, 2)), ["a", "b"]);
    assert_eq!(bodies(&receive(&queues, 2)), ["c"]);
    assert!(receive(&queues, 2).is_empty());
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, in_flight: 3, delayed: 0 });
    hand.advance(seconds(30));
    let again = receive(&queues, 10);
    assert_eq!(bodies(&again), ["a", "b", "c"]);
    assert_eq!(again[0].receive_count, 2);
    assert_eq!(again[0].first_received_at, utc(2026, 1, 1, 0, 0));
}

#[test]
fn a_deleted_message_is_gone_and_a_replaced_handle_deletes_nothing() {
    let (queues, hand) = plain();
    send(&queues, "a");
    let first = receive(&queues, 1).remove(0).receipt_handle;
    hand.advance(seconds(31));
    let second = receive(&queues, 1).remove(0).receipt_handle;
    assert_ne!(first, second);
    queues.delete(QUEUE, &first).unwrap();
    assert_eq!(queues.depth(QUEUE).unwrap().total(), 1);
    queues.delete(QUEUE, &second).unwrap();
    assert_eq!(queues.depth(QUEUE).unwrap().total(), 0);
    queues.delete(QUEUE, &second).unwrap();
    assert_eq!(queues.delete(QUEUE, "nonsense"), Err(QueueError::InvalidReceiptHandle));
    assert_eq!(queues.delete("absent", &second), Err(QueueError::NonExistentQueue));
}

#[test]
fn delays_hide_a_new_message() {
    let (queues, hand) = queues(Settings { delay: 5, ..Settings::default() });
    send(&queues, "queue's own delay");
    queues
        .send(QUEUE, Outgoing { body: "at once".to_owned(), delay: Some(0), ..Outgoing::default() })
        .unwrap();
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 1, in_flight: 0, delayed: 1 });
    assert_eq!(bodies(&receive(&queues, 10)), ["at once"]);
    hand.advance(seconds(5));
    assert_eq!(bodies(&receive(&queues, 10)), ["queue's own delay"]);
}

#[test]
fn visibility_can_be_moved_both_ways_while_in_flight() {
    let (queues, hand) = plain();
    send(&queues, "a");
    let handle = receive(&queues, 1).remove(0).receipt_handle;
    queues.change_visibility(QUEUE, &handle, 300).unwrap();
    hand.advance(seconds(60));
    assert!(receive(&queues, 1).is_empty());
    queues.change_visibility(QUEUE, &handle, 0).unwrap();
    assert_eq!(queues.change_visibility(QUEUE, &handle, 10), Err(QueueError::MessageNotInFlight));
    assert_eq!(bodies(&receive(&queues, 1)), ["a"]);
    assert_eq!(queues.change_visibility(QUEUE, &handle, 10), Err(QueueError::MessageNotInFlight));
}

#[test]
fn nothing_is_hidden_for_more_than_twelve_hours_since_it_was_received() {
    let (queues, hand) = plain();
    send(&queues, "a");
    let handle = receive(&queues, 1).remove(0).receipt_handle;
    queues.change_visibility(QUEUE, &handle, MAX_VISIBILITY).unwrap();
    hand.advance(seconds(1));
    assert_eq!(queues.change_visibility(QUEUE, &handle, MAX_VISIBILITY), Err(QueueError::BeyondLimit));
    queues.change_visibility(QUEUE, &handle, MAX_VISIBILITY - 1).unwrap();
}

#[test]
fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let redrive = Redrive { target: "dead".to_owned(), max_receive_count: 2 };
    let (queues, hand) = queues(Settings { redrive: Some(redrive), ..Settings::default() });
    let id = send(&queues, "poison");
    for count in 1..=2 {
        assert_eq!(receive(&queues, 1)[0].receive_count, count);
        assert_eq!(queues.depth("dead").unwrap().total(), 0);
        hand.advance(seconds(30));
    }
    send(&queues, "next");
    assert_eq!(bodies(&receive(&queues, 1)), ["next"], "the third reception moves it and goes on");
    let dead = queues.messages("dead").unwrap();
    assert_eq!((dead[0].message_id.as_str(), dead[0].receive_count), (id.as_str(), 0));
    assert_eq!(queues.receive("dead", 1, None).unwrap()[0].sent_at, utc(2026, 1, 1, 0, 0));
}

#[test]
fn messages_expire() {
    let (queues, hand) = queues(Settings { retention: 60, ..Settings::default() });
    send(&queues, "old");
    hand.advance(seconds(61));
    send(&queues, "new");
    assert_eq!(bodies(&receive(&queues, 10)), ["new"]);
    assert_eq!(queues.depth(QUEUE).unwrap().total(), 1);
}

#[test]
fn watchers_learn_of_new_and_of_released_messages() {
    let (queues, _) = plain();
    let mut changed = queues.changed(QUEUE).unwrap();
    send(&queues, "a");
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    let handle = receive(&queues, 1).remove(0).receipt_handle;
    assert!(!changed.has_changed().unwrap(), "taking a message is news to nobody");
    queues.change_visibility(QUEUE, &handle, 0).unwrap();
    assert!(changed.has_changed().unwrap());
}

#[test]
fn the_checksum_is_the_body_s_md5() {
    let (queues, _) = plain();
    let sent = queues.send(QUEUE, Outgoing { body: "hello".to_owned(), ..Outgoing::default() }).unwrap();
    assert_eq!(sent.body_md5, "5d41402abc4b2a76b9719d911017c592");
}

#[test]
fn a_visibility_of_zero_hands_a_message_out_once_per_call() {
    let (queues, _) = plain();
    send(&queues, "a");
    assert_eq!(queues.receive(QUEUE, 10, Some(0)).unwrap().len(), 1);
    assert_eq!(queues.receive(QUEUE, 10, Some(0)).unwrap().len(), 1);
}

fn send_to(queues: &Queues, group: &str, body: &str) {
    let message = Outgoing { body: body.to_owned(), group: Some(group.to_owned()), ..Outgoing::default() };
    queues.send(QUEUE, message).unwrap();
}

#[test]
fn a_long_backlog_of_one_group_delays_no_other() {
    let (queues, _) = plain();
    for number in 0..100 {
        send_to(&queues, "noisy", &format!("n{number}"));
    }
    assert_eq!(bodies(&receive(&queues, 3)), ["n0", "n1", "n2"]);
    send_to(&queues, "quiet", "q0");
    send_to(&queues, "quiet", "q1");
    send(&queues, "none0");
    assert_eq!(bodies(&receive(&queues, 2)), ["q0", "none0"], "three of the noisy group's are in flight");
    assert_eq!(bodies(&receive(&queues, 2)), ["q1", "n3"]);
}

#[test]
fn groups_without_work_in_flight_are_served_by_age_and_one_batch_is_shared() {
    let (queues, _) = plain();
    for (group, body) in [("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b0"), ("c", "c0"), ("b", "b1")] {
        send_to(&queues, group, body);
    }
    assert_eq!(bodies(&receive(&queues, 10)), ["a0", "b0", "c0", "a1", "b1", "a2"]);
}

#[test]
fn a_group_gets_its_turn_back_as_its_messages_leave_flight() {
    let (queues, hand) = plain();
    for body in ["a0", "a1", "a2"] {
        send_to(&queues, "a", body);
    }
    for body in ["b0", "b1"] {
        send_to(&queues, "b", body);
    }
    let first = receive(&queues, 2);
    assert_eq!(bodies(&first), ["a0", "b0"]);
    queues.delete(QUEUE, &first[0].receipt_handle).unwrap();
    assert_eq!(bodies(&receive(&queues, 1)), ["a1"], "deleted");
    hand.advance(seconds(30));
    assert_eq!(bodies(&receive(&queues, 2)), ["a2", "b1"], "b0 and a1 are visible again, but younger");
    assert_eq!(bodies(&receive(&queues, 2)), ["a1", "b0"]);
}

#[test]
fn a_visible_or_delayed_message_is_not_in_flight() {
    let (queues, hand) = plain();
    for body in ["a0", "a1", "a2"] {
        send_to(&queues, "a", body);
    }
    let delayed = Outgoing {
        body: "b0".to_owned(),
        delay: Some(5),
        group: Some("b".to_owned()),
        ..Outgoing::default()
    };
    queues.send(QUEUE, delayed).unwrap();
    let received = receive(&queues, 1).remove(0);
    hand.advance(seconds(1));
    queues.change_visibility(QUEUE, &received.receipt_handle, 0).unwrap();
    hand.advance(seconds(4));
    assert_eq!(bodies(&receive(&queues, 4)), ["a1", "b0", "a2", "a0"], "a0 became visible after a2");
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, in_flight: 4, delayed: 0 });
}

#[test]
fn ten_thousand_groups_are_served_as_quickly_as_one() {
    let (queues, _) = plain();
    for number in 0..10_000 {
        send_to(&queues, &format!("g{}", number % 5_000), &number.to_string());
    }
    let mut order = Vec::new();
    loop {
        let batch = receive(&queues, 10);
        if batch.is_empty() {
            break;
        }
        for message in &batch {
            order.push(message.body.parse::<usize>().unwrap());
            queues.delete(QUEUE, &message.receipt_handle).unwrap();
        }
    }
    assert_eq!(order.len(), 10_000);
    assert!(order.is_sorted(), "nothing was in flight for long");
    assert_eq!(queues.next_visible_at(QUEUE).unwrap(), None);
}

#[tokio::test]
async fn what_is_settled_is_what_has_been_deleted() {
    let (queues, hand) = plain();
    let settled = || queues.settled_up_to([QUEUE]);
    let first = queues.mark();
    assert_eq!(settled(), first, "an empty queue owes nothing");
    send(&queues, "a");
    let second = queues.mark();
    send(&queues, "b");
    let third = queues.mark();
    assert_eq!(settled(), first);
    let received = receive(&queues, 2);
    assert_eq!(settled(), first, "receiving settles nothing");
    hand.advance(seconds(30));
    let received = [receive(&queues, 2), received].concat();
    queues.change_visibility(QUEUE, &received[0].receipt_handle, 600).unwrap();
    assert_eq!(settled(), first, "neither does hiding");
    queues.delete(QUEUE, &received[0].receipt_handle).unwrap();
    assert_eq!(settled(), second);
    assert!(settled() < third);
    queues.delete(QUEUE, &received[1].receipt_handle).unwrap();
    assert_eq!(settled(), third);
    send(&queues, "c");
    assert_eq!(settled(), third);
    assert_eq!(queues.settled_up_to(["dead"]), queues.mark(), "of another queue");
}

#[tokio::test]
async fn a_job_that_is_handed_on_is_as_old_as_what_it_came_from() {
    let (queues, _) = plain();
    let before = queues.mark();
    send(&queues, "a");
    let received = receive(&queues, 1).remove(0);
    caused_by(received.cause, async { send(&queues, "handed on") }).await;
    queues.delete(QUEUE, &received.receipt_handle).unwrap();
    assert_eq!(queues.settled_up_to([QUEUE]), before);
    send(&queues, "of its own");
    queues.purge(QUEUE).unwrap();
    assert_eq!(queues.settled_up_to([QUEUE]), queues.mark());
}

#[test]
fn a_message_that_has_moved_to_the_dead_letter_queue_holds_nothing_up() {
    let redrive = Redrive { target: "dead".to_owned(), max_receive_count: 1 };
    let (queues, hand) = queues(Settings { redrive: Some(redrive), ..Settings::default() });
    send(&queues, "poison");
    receive(&queues, 1);
    hand.advance(seconds(30));
    assert!(receive(&queues, 1).is_empty());
    assert_eq!(queues.depth("dead").unwrap().total(), 1);
    assert_eq!(queues.settled_up_to([QUEUE, "dead"]), queues.mark());
}
