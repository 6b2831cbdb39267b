//! What a query means, in plain Rust over records. The databases are compared with it, on generated rows and queries.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::fixture::{TestStore, at, configuration, document, run};
use crate::domain::configuration::Document;
use crate::domain::list::{
    Comparison, Direction, Field, Filter, Kind, Order, Pattern, Piece, Query, RUNS, Sort, Test, Value, Within,
};
use crate::domain::principal::Scope;
use crate::domain::run::{Run, RunState};
use crate::domain::status::RunStatus;
use crate::domain::{ConfigurationId, DocumentId, RunId, WorkspaceId};

/// A run, and what a list knows about it from elsewhere.
struct Known<'a> {
    run: &'a Run,
    documents: &'a [Document],
}

impl Known<'_> {
    /// None, one or, of input documents, several.
    fn values(&self, field: Field) -> Vec<Value> {
        let state = &self.run.state;
        let time = |time: Option<_>| time.map(Value::Time).into_iter().collect();
        match field {
            Field::Id => vec![text(self.run.id)],
            Field::Status => vec![text(state.status)],
            Field::ConfigurationId => vec![text(self.run.configuration_id)],
            Field::InputDocumentId => self.run.options.document_ids.iter().map(text).collect(),
            Field::CreatedAt => time(Some(self.run.created_at)),
            Field::StartedAt => time(state.started_at),
            Field::CompletedAt => time(state.completed_at),
            Field::HasOutput => vec![Value::Flag(!state.output_paths.is_empty())],
            other => unreachable!("runs have no {other}"),
        }
    }

    fn searched(&self) -> Vec<String> {
        let inputs = &self.run.options.document_ids;
        let names = self.documents.iter().filter(|document| inputs.contains(&document.id)).map(|it| it.name.clone());
        let own = [self.run.id.to_string(), self.run.state.status.to_string(), self.run.configuration_id.to_string()];
        own.into_iter().chain(names).collect()
    }

    fn passes(&self, filter: &Filter) -> bool {
        match filter {
            Filter::All(parts) => parts.iter().all(|part| self.passes(part)),
            Filter::Any(parts) => parts.iter().any(|part| self.passes(part)),
            Filter::Test(field, test) => passes_test(&self.values(*field), test),
            Filter::Word(word) => {
                let pattern = Pattern::containing(word);
                self.searched().iter().any(|text| is_like(text, &pattern))
            }
        }
    }
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn passes_test(values: &[Value], test: &Test) -> bool {
    let any = |holds: &dyn Fn(&Value) -> bool| values.iter().any(holds);
    let some_and_none = |holds: &dyn Fn(&Value) -> bool| !values.is_empty() && !values.iter().any(holds);
    match test {
        Test::Compare(Comparison::Ne, with) => some_and_none(&|value| value == with),
        Test::Compare(how, with) => any(&|value| holds(*how, compare(value, with))),
        Test::In(among) => any(&|value| among.contains(value)),
        Test::NotIn(among) => some_and_none(&|value| among.contains(value)),
        Test::Like(pattern) => any(&|value| is_value_like(value, pattern)),
        Test::NotLike(pattern) => some_and_none(&|value| is_value_like(value, pattern)),
        Test::Between(low, high) => any(&|value| compare(value, low).is_ge() && compare(value, high).is_le()),
        Test::Empty => values.is_empty(),
        Test::NotEmpty => !values.is_empty(),
    }
}

fn holds(how: Comparison, ordering: Ordering) -> bool {
    match how {
        Comparison::Eq => ordering.is_eq(),
        Comparison::Ne => ordering.is_ne(),
        Comparison::Lt => ordering.is_lt(),
        Comparison::Lte => ordering.is_le(),
        Comparison::Gt => ordering.is_gt(),
        Comparison::Gte => ordering.is_ge(),
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Time(one), Value::Time(other)) => one.cmp(other),
        (Value::Flag(one), Value::Flag(other)) => one.cmp(other),
        _ => unreachable!("values of one field are of one kind"),
    }
}

fn is_value_like(value: &Value, pattern: &Pattern) -> bool {
    matches!(value, Value::Text(text) if is_like(text, pattern))
}

fn is_like(text: &str, pattern: &Pattern) -> bool {
    let characters: Vec<char> = text.chars().map(|character| character.to_ascii_lowercase()).collect();
    matches_pieces(&characters, pattern.pieces())
}

fn matches_pieces(text: &[char], pieces: &[Piece]) -> bool {
    match (pieces.split_first(), text.split_first()) {
        (None, first) => first.is_none(),
        (Some((Piece::AnyText, rest)), _) => (0..=text.len()).any(|skipped| matches_pieces(&text[skipped..], rest)),
        (Some((Piece::AnyCharacter, rest)), Some((_, later))) => matches_pieces(later, rest),
        (Some((Piece::Character(wanted), rest)), Some((first, later))) => {
            first == wanted && matches_pieces(later, rest)
        }
        (Some(_), None) => false,
    }
}

fn in_order(one: &Known<'_>, other: &Known<'_>, order: &Order) -> Ordering {
    let by = |key: &Sort| match (one.values(key.field).first(), other.values(key.field).first()) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => match key.direction {
            Direction::Ascending => compare(one, other),
            Direction::Descending => compare(other, one),
        },
    };
    order.keys().iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

/// The runs that a query asks for, in its order.
fn answer<'a>(runs: &'a [Run], documents: &'a [Document], query: &Query) -> Vec<&'a Run> {
    let is_within = |run: &&Run| {
        query.within.workspace_id.is_none_or(|id| id == run.workspace_id)
            && query.within.configuration_id.is_none_or(|id| id == run.configuration_id)
    };
    let known = runs.iter().filter(is_within).map(|run| Known { run, documents });
    let mut known: Vec<_> = known.filter(|known| known.passes(&query.filter)).collect();
    known.sort_by(|one, other| in_order(one, other, &query.order));
    known.into_iter().map(|known| known.run).collect()
}

/// Few different values, so that ties and hits are frequent.
#[derive(Debug, Clone)]
struct World {
    workspaces: [WorkspaceId; 2],
    configurations: [ConfigurationId; 3],
    documents: Vec<Document>,
}

impl World {
    fn new() -> Self {
        let workspaces = [(); 2].map(|()| WorkspaceId::generate());
        let names = ["Roster.xlsx", "ROSTER ÄÖ.csv", "ärger_100%.csv", r"back\slash", "plain"];
        let documents =
            names.map(|name| Document { name: name.into(), ..document(workspaces[0]) }).into_iter().collect();
        Self { workspaces, configurations: [(); 3].map(|()| ConfigurationId::generate()), documents }
    }

    /// The first configuration belongs to the first workspace, the others to the second.
    fn workspace_of(&self, configuration: usize) -> WorkspaceId {
        self.workspaces[configuration.min(1)]
    }

    fn ids(&self) -> Vec<DocumentId> {
        self.documents.iter().map(|document| document.id).collect()
    }

    fn run(&self) -> impl Strategy<Value = Run> + use<> {
        let world = self.clone();
        let inputs = subsequence(self.ids(), 0..=2);
        let times = (moment(), proptest::option::of(moment()), proptest::option::of(moment()));
        (0..3usize, select(RunStatus::ALL), inputs, times, any::<bool>()).prop_map(
            move |(index, status, document_ids, (created, started, completed), has_output)| {
                let of = configuration(world.workspace_of(index));
                let mut run = Run { configuration_id: world.configurations[index], ..run(&of) };
                run.created_at = created;
                run.options.document_ids = document_ids;
                let output_paths = if has_output { vec!["output/a [].csv".to_owned()] } else { vec![] };
                run.state = RunState {
                    status,
                    started_at: started,
                    completed_at: completed,
                    output_paths,
                    ..RunState::default()
                };
                run
            },
        )
    }

    fn value(&self, field: Field) -> BoxedStrategy<Value> {
        match field.kind() {
            Kind::Word => select(RunStatus::WORDS).prop_map(text).boxed(),
            Kind::Time => moment().prop_map(Value::Time).boxed(),
            Kind::Flag => any::<bool>().prop_map(Value::Flag).boxed(),
            Kind::Id if field == Field::ConfigurationId => select(self.configurations.to_vec()).prop_map(text).boxed(),
            Kind::Id => select(self.ids()).prop_map(text).boxed(),
            Kind::Text => unreachable!("runs have no names"),
        }
    }

    /// Any test that fits the field.
    fn test(&self, field: Field) -> BoxedStrategy<Test> {
        let value = || self.value(field);
        let values = || proptest::collection::vec(value(), 1..4);
        let pattern = || {
            let text = prop_oneof!["[a-z]{1,2}", "%[A-Z]", "[0-9A-Z]_%", r"%_\\_%", "%[äÄ]%", "queue%", "%ED"];
            text.prop_map(|text: String| Pattern::parse(&text))
        };
        let compare =
            |among: &'static [Comparison]| (select(among), value()).prop_map(|(how, v)| Test::Compare(how, v));
        use Comparison::{Eq, Gt, Gte, Lt, Lte, Ne};
        let sets = prop_oneof![values().prop_map(Test::In), values().prop_map(Test::NotIn)];
        let missing = prop_oneof![Just(Test::Empty), Just(Test::NotEmpty)];
        match field.kind() {
            Kind::Flag => compare(&[Eq, Ne]).boxed(),
            Kind::Time => {
                let between = (value(), value()).prop_map(|(low, high)| Test::Between(low, high));
                prop_oneof![4 => compare(&[Eq, Ne, Lt, Lte, Gt, Gte]), 2 => between, 1 => sets, 1 => missing].boxed()
            }
            Kind::Word | Kind::Id | Kind::Text => {
                let likes = prop_oneof![pattern().prop_map(Test::Like), pattern().prop_map(Test::NotLike)];
                prop_oneof![2 => compare(&[Eq, Ne]), 2 => likes, 2 => sets, 1 => missing].boxed()
            }
        }
    }

    fn filter(&self) -> impl Strategy<Value = Filter> + use<> {
        let world = self.clone();
        let test = select(RUNS.filters)
            .prop_flat_map(move |field| world.test(field).prop_map(move |test| Filter::Test(field, test)));
        let word = select(&["roster", "Ä", "100%", "_", r"\", "ED", "run_", "PLAIN", "q"][..]);
        let leaf = prop_oneof![5 => test, 1 => word.prop_map(|word| Filter::Word(word.into()))];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
                proptest::collection::vec(inner, 1..4).prop_map(Filter::Any),
            ]
        })
    }

    fn query(&self) -> impl Strategy<Value = Query> + use<> {
        let (workspaces, configurations) = (self.workspaces.to_vec(), self.configurations.to_vec());
        let within = (proptest::option::of(select(workspaces)), proptest::option::of(select(configurations)));
        let filter = prop_oneof![1 => Just(Filter::everything()), 4 => self.filter()];
        (within, filter, order()).prop_map(|((workspace_id, configuration_id), filter, order)| Query {
            within: Within { workspace_id, configuration_id, document_id: None },
            filter,
            order,
        })
    }
}

/// A few moments that differ by microseconds and by seconds, as far apart as text and number might disagree.
fn moment() -> impl Strategy<Value = crate::domain::time::Timestamp> + Clone {
    select(&[0, 1, 500_000, 500_001, 999_999, 1_000_000, 1_500_000, 60_000_000][..]).prop_map(at)
}

fn order() -> impl Strategy<Value = Order> {
    let direction = || select(&[Direction::Ascending, Direction::Descending][..]);
    let key = || (select(RUNS.sorts), direction()).prop_map(|(field, direction)| Sort { field, direction });
    (key(), proptest::collection::vec(key(), 0..3)).prop_map(|(first, others)| Order::by(first, &others))
}

/// The answer of the database, in pages and in slices, and the total in it.
async fn listed(store: &TestStore, query: &Query, per_page: u64) -> (Vec<RunId>, Vec<RunId>, u64) {
    let (mut paged, mut sliced, mut total) = (Vec::new(), Vec::new(), 0);
    for page in 1.. {
        let listed = store.page::<Run>(&Scope::All, query, page, per_page).await.unwrap();
        total = listed.total;
        if listed.items.is_empty() {
            break;
        }
        paged.extend(listed.items.iter().map(|run| run.id));
    }
    let mut place = None;
    loop {
        let slice = store.slice::<Run>(&Scope::All, query, place.as_ref(), per_page).await.unwrap();
        sliced.extend(slice.items.iter().map(|run| run.id));
        place = slice.next;
        if place.is_none() {
            return (paged, sliced, total);
        }
    }
}

async fn filled(world: &World, runs: &[Run]) -> TestStore {
    let store = TestStore::open().await;
    for (index, id) in world.workspaces.into_iter().enumerate() {
        let workspace = super::fixture::workspace(&format!("w{index}"));
        store.insert_workspace(&crate::domain::configuration::Workspace { id, ..workspace }).await.unwrap();
    }
    for (index, id) in world.configurations.into_iter().enumerate() {
        let configuration = configuration(world.workspace_of(index));
        let configuration = crate::domain::configuration::Configuration { id, ..configuration };
        store.insert_configuration(&configuration).await.unwrap();
    }
    for document in &world.documents {
        store.insert_document(document).await.unwrap();
    }
    for run in runs {
        store.insert(run, None).await.unwrap();
    }
    store
}

#[test]
fn the_database_answers_every_query_as_plain_rust_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new();
    let rows = proptest::collection::vec(world.run(), 0..25);
    let queries = proptest::collection::vec((world.query(), 1..8u64), 30);
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(runs in rows, queries in queries)| {
        runtime.block_on(async {
            let store = filled(&world, &runs).await;
            for (query, per_page) in &queries {
                let expected: Vec<_> = answer(&runs, &world.documents, query).iter().map(|run| run.id).collect();
                let (paged, sliced, total) = listed(&store, query, *per_page).await;
                prop_assert_eq!(&paged, &expected, "{:?}", query);
                prop_assert_eq!(&sliced, &expected, "{:?}", query);
                prop_assert_eq!(total, expected.len() as u64);
            }
            Ok(())
        })?;
    });
}
