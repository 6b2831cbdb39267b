//! After the terminal event there is nothing.

use ade::stream::{AppendError, End, Item};

use super::support::{Given, World, in_system, last_word, line};

#[test]
fn nothing_is_appended_after_the_end() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        life.stream.append([line("first", 10), last_word("end")].into()).await.unwrap();
        for refused in [line("late", 10), last_word("again")] {
            assert_eq!(life.stream.append_one(refused).await, Err(AppendError::Closed));
        }
        life.stream.ended().await;
        assert_eq!(life.stream.append_one(line("later", 10)).await, Err(AppendError::Closed));
        life.end().await;

        let life = world.live().await;
        assert!(life.stream.tail().closed, "a next life knows that the stream is over");
        assert_eq!(life.stream.append_one(line("too late", 10)).await, Err(AppendError::Closed));
        let mut follow = life.follow(2);
        assert!(follow.is_finished());
        assert!(matches!(follow.next().await.unwrap(), Item::End(End::Closed)));
        life.end().await;
        assert_eq!(world.events(true).unwrap().len(), 2);
    });
}

#[test]
fn an_append_that_continues_after_the_end_is_rejected_as_a_whole() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        let beyond = [line("a", 10), last_word("end"), line("b", 10)];
        assert_eq!(life.stream.append(beyond.into()).await, Err(AppendError::Closed));
        assert_eq!(life.stream.append_one(line("c", 10)).await.unwrap().first, 1, "nothing of it was numbered");
        life.end().await;
        let tags: Vec<_> = world.events(false).unwrap().into_iter().map(|event| event.tag).collect();
        assert_eq!(tags, ["c"]);
    });
}

#[test]
fn an_empty_append_does_nothing() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        life.stream.append_one(line("a", 10)).await.unwrap();
        let nothing = life.stream.append([].into()).await.unwrap();
        assert_eq!((nothing.first, nothing.last), (2, 1));
        assert_eq!(life.stream.append_one(last_word("end")).await.unwrap().first, 2);
        let mut given = Given::after(0);
        assert_eq!(given.catch_up(&mut life.follow(0)).await, Some(End::Closed));
        life.end().await;
        given.check(&world.events(true).unwrap()).unwrap();
    });
}
