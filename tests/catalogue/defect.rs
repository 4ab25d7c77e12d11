//! The catalogue: every defect with the guarantees that it breaks and the mistake behind it.

/// Declares each defect once: its name, the guarantees that it breaks, the developer's mistake.
macro_rules! catalogue {
    ($($name:ident [$($guarantee:literal),+] $mistake:literal)+) => {
        /// A single mistake that a team could ship.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Defect {
            $(#[doc = $mistake] $name,)+
        }

        impl Defect {
            /// Every defect, in the order of the guarantees.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// The guarantees that a harness may convict it of, the likeliest first.
            pub(crate) const fn guarantees(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($guarantee),+],)+ }
            }

            /// The mistake of the developer, as one sentence.
            pub(crate) const fn mistake(self) -> &'static str {
                match self { $(Self::$name => $mistake,)+ }
            }
        }
    };
}

catalogue! {
    // A new connection is subscribed.
    InheritsSlotSubscription ["G1", "G3"] "the flag lives in a slot that is reused, and is not reset for the next client"
    MissesFirstCycle ["G1", "G3"] "a client is put on the list for the cycle after the next one"
    StartsUnsubscribed ["G1", "G3"] "the flag starts as false, as flags do"
    WaitsForHeartbeat ["G1", "G3"] "pushes begin only when the first heartbeat has shown that the client is ready"

    // No push to an unsubscribed client.
    AppliesCommandOnNextText ["G2", "G3"] "a command is stored in a variable that is checked when the next text arrives"
    IgnoresUnsubscribe ["G2"] "unsubscribe is logged, and the flag stays as it was"
    MatchesSubstring ["G2", "G9"] "asks whether the text contains subscribe, which unsubscribe does as well"
    ResubscribesOnHeartbeat ["G2"] "a heartbeat puts the client back into the map with the default value"
    UndoesUnsubscribe ["G2"] "the old connection's late clean-up resets a slot that a new one has taken"
    UnsubscribesAtNextCycle ["G2"] "unsubscribed clients are removed from the list after the cycle instead of before it"

    // Every subscriber gets every cycle's push.
    ClosesInsteadOfPushing ["G3"] "a client that has sent nothing for two periods is closed when its push is due"
    IgnoresSubscribe ["G3"] "subscribe is logged, but a client that unsubscribed once is not put back on the list"
    LosesAtShardBoundary ["G3"] "the walk over the shards skips the first client of each shard but the first"
    LosesLastSubscriber ["G3"] "the loop over the subscribers ends one too early"
    PushesOnlyToActive ["G3"] "a client that has sent nothing for a whole period counts as gone"
    SkipsBusy ["G3"] "a client whose queue is not empty is skipped silently"
    SkipsFirstCycle ["G3", "G7"] "the timer's first tick is swallowed in the belief that it is immediate"
    SkipsNeighbour ["G3"] "removes a client from the list by index during the walk, so the next one is skipped"
    StopsAfterStall ["G3", "G7"] "a timer that is late by more than a period ends its task with an error"

    // At most one push per connection and cycle.
    PushesPerSubscribe ["G4"] "every subscribe adds the client to the list once more"
    PushesTwiceToReusedSlot ["G4"] "the list of push targets is not cleaned when a client leaves its slot"
    RetriesUnacknowledged ["G4"] "sends the push again when the client stays silent, as if there were acknowledgements"

    // Order.
    EchoesOutOfOrder ["G5", "G8"] "every second reply is sent from a task of its own"
    ServesNewestFirst ["G5"] "the queue is a Vec, and the writer pops it from the end"

    // The text of a push.
    EndsWithNewline ["G6"] "formats the text with writeln"
    RendersFromStart ["G6"] "reads the wall clock once and counts on from there, so it misses every change of the clock"
    RendersMonthAsMinutes ["G6"] "writes MM where the pattern wants mm"
    RendersPerClient ["G6"] "reads the clock for every client, in a walk that takes its time"
    RendersPreviousCycle ["G6"] "the text is prepared when a cycle ends and sent when the next one is due"
    RendersTwelveHours ["G6"] "writes hh where the pattern wants HH"
    SwapsDayAndMonth ["G6"] "writes yyyy-dd-MM"

    // The schedule.
    BunchesAfterStall ["G7", "G4"] "all missed ticks of an interval are sent at once"
    Drifts ["G7"] "sleeps for a period after the work instead of until the next due instant"
    PushesEarly ["G7"] "wakes up a little before the due instant so that the push arrives in time"
    RestartsScheduleAfterStall ["G7"] "after a late tick the next one is a period from now"
    SchedulesByWallClock ["G7", "G3"] "the next instant is computed from the wall clock, which may be set"
    TimesEachConnection ["G7", "G3", "G6"] "every connection has a timer of its own that starts when it connects"

    // Echoes.
    AnswersOncePerRead ["G8"] "of two texts that arrive in one read only the first is answered"
    DecodesEachFragment ["G8"] "decodes every fragment on its own, so a character cut in two is lost"
    EchoesLastFragment ["G8"] "echoes the payload of the frame that ends the message"
    GarblesNonAscii ["G8"] "encodes the reply as ASCII"
    MutesUnsubscribed ["G8"] "all output goes through the filter that was meant for pushes"
    OmitsEchoSpace ["G8"] "wrote the prefix of the reply from memory"
    TruncatesEcho ["G8"] "copies the reply through a buffer of 512 bytes"

    // Commands and binary frames.
    AcknowledgesCommands ["G9"] "commands are answered with OK"
    EchoesBinary ["G9"] "binary frames are sent back as they came"
    EchoesCommands ["G9"] "the branch of a command falls through to the echo"
    IgnoresCommandCase ["G9", "G8"] "compares commands without regard to case"
    TogglesOnCommand ["G9", "G2", "G3"] "both commands flip the flag"
    TrimsCommands ["G9", "G8"] "trims a text before it is compared with the commands"

    // No client harms another, and what it holds is bounded.
    AwaitsSlowClient ["G10", "G3"] "awaits the send to each client before the next one"
    DelaysUpgrade ["G10"] "looks up the client's account before it answers the request, which takes long"
    GrowsOutbox ["G10"] "the queue of a client is unbounded and its input is always read"
    SharesOneBudget ["G10", "G3"] "the limit of one queue is applied to the sum of all"

    // A connection that is gone leaves nothing behind.
    KeepsAbruptEntry ["G11", "G15"] "the entry is removed by the branch for Close frames only"
    KeepsDeadEntry ["G11", "G15"] "a dead client is dropped, its entry is not"
    LeaksAbruptClose ["G11"] "something still refers to the stream of a client that left without a Close"
    LeaksFailedHandshake ["G11"] "streams that failed their handshake are put aside and forgotten"
    LeaksProtocolError ["G11", "G12"] "something still refers to the stream of a client that broke the rules"
    WaitsForHandshake ["G11", "G13", "G10"] "a handshake has no timeout"

    // Malformed input.
    AcceptsUnmasked ["G12"] "unmasked frames are accepted, as a proxy once needed"
    ClosesBadUtf8As1002 ["G12"] "invalid UTF-8 is closed like any other protocol error"
    ClosesEverybody ["G12", "G10"] "the error of one client ends the loop that serves them all"
    ClosesOversizeSilently ["G12"] "a message over the limit ends the connection without a Close"
    ClosesProtocolErrorAs1000 ["G12"] "every close goes through the same helper, with code 1000"
    IgnoresClose ["G12"] "a Close ends the loop that reads, and is not answered"
    RejectsLargest ["G12", "G8"] "compares with less-than where the limit itself is allowed"
    TakesOversize ["G12", "G10"] "the library's limits are left at their defaults"

    // Heartbeats.
    AnswersHeartbeatTwice ["G13", "G8"] "the heartbeat is answered by its own branch and by the echo"
    AnswersPingEmpty ["G13"] "a pong is sent without the ping's payload"
    DiesOnPong ["G13", "G12"] "a frame that the match does not list is an error"
    DropsQuiet ["G13", "G3"] "a client that is silent for the ping interval is dropped instead of pinged"
    IgnoresPing ["G13"] "the arm for pings is empty, and the library's own answer is off"
    NeverFindsDead ["G13", "G11"] "silent clients are never pinged"
    SwallowsHeartbeat ["G13", "G8"] "a heartbeat is recorded and not answered"

    // Drain.
    DrainsForever ["G14"] "the drain waits for every client, however long it takes"
    DrainsLosingQueue ["G14"] "the queue is emptied to make room for the Close"
    DrainsNormally ["G14"] "the drain closes with 1000"
    DrainsSilently ["G14"] "the drain drops the connections without a Close"
    PushesFarewell ["G14", "G7"] "the drain fires a last cycle so that no client misses it"

    // The log.
    CountsOnlyUp ["G15"] "the total counts all connections since the start"
    LogsStaleTime ["G15"] "commands are logged with the time of the last cycle"
    LogsRawText ["G15"] "the text of a client goes to the log unescaped, line feeds included"
    OmitsCommandsFromLog ["G15"] "commands are not logged as received"
    OmitsTextsFromLog ["G15"] "the line for a received message moved into the branch for commands"
    SwapsLogWording ["G15"] "the words for on and off are swapped"
}
