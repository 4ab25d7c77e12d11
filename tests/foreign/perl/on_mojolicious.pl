#!/usr/bin/env perl
# A push server on Mojolicious.
use Mojo::Base -strict, -signatures;
use Encode qw(decode FB_CROAK);
use Getopt::Long 'GetOptions';
use Mojo::IOLoop;
use Mojo::Server::Daemon;
use Mojolicious;
use POSIX qw(floor strftime);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC time);

use constant LARGEST => 64 * 1024;

# Bytes that may wait for one client: above the first number it is not read, above the second it is cut off.
use constant { PAUSE_ABOVE => 64 * 1024, TOO_SLOW_ABOVE => 256 * 1024 };

GetOptions('period=f' => \(my $period = 300), 'defect=s' => \(my $defect = 'none')) or exit 2;
my $port = shift @ARGV;
my %clients;

sub waiting ($tx) { Mojo::IOLoop->stream($tx->connection) ? Mojo::IOLoop->stream($tx->connection)->bytes_waiting : 0 }

sub on_text ($client, $text) {
  if ($text eq 'subscribe' || $text eq 'unsubscribe') { $client->{subscribed} = $text eq 'subscribe' }
  else                                                { echo($client, $text) }
}

# A client that does not read its echoes is not read from either.
sub echo ($client, $text) {
  my $tx = $client->{tx};
  # In Perl the text "0" is false, and so is the empty one.
  return if $defect eq 'ignores-false' && !$text;
  $text =~ s/\s+$// if $defect eq 'chomps-echoes';
  $tx->send("Server received: $text");
  my $stream = Mojo::IOLoop->stream($tx->connection) or return;
  if ($stream->bytes_waiting > PAUSE_ABOVE && !$client->{paused}) {
    $client->{paused} = 1;
    $stream->stop;
    $stream->once(drain => sub { $client->{paused} = 0; $stream->start });
  }
}

my $app = Mojolicious->new;
$app->log->level('fatal');
$app->routes->websocket('/ws' => sub ($c) {
  my $tx     = $c->tx->max_websocket_size(LARGEST)->compressed(0);
  my $client = $clients{$tx->connection} = {tx => $tx, subscribed => 1};
  # The daemon ends connections on which nothing comes for some time.
  $c->inactivity_timeout($defect eq 'short-inactivity' ? 2.5 * $period : 0);
  # The event `text` comes with what was decoded, `message` with both kinds.
  $c->on(text => sub ($c, $bytes) {
    my $text = eval { decode('UTF-8', $bytes, FB_CROAK) };
    defined $text ? on_text($client, $text) : $c->finish(1007);
  });
  $c->on(finish => sub ($c, @) { delete $clients{$tx->connection} });
});

sub push_to_all ($instant) {
  my $pattern = $defect eq 'month-from-zero' ? '%Y-00-%d %H:%M:%S' : '%Y-%m-%d %H:%M:%S';
  my $text    = 'Server push message at ' . strftime($pattern, localtime floor $instant);
  for my $client (values %clients) {
    next unless $client->{subscribed};
    my $stream = Mojo::IOLoop->stream($client->{tx}->connection) or next;
    if   ($stream->bytes_waiting > TOO_SLOW_ABOVE) { $stream->close }
    else                                           { $client->{tx}->send($text) }
  }
}

# One grid for all clients. A cycle that is more than a third of a period late is skipped.
my ($start, $cycle) = (clock_gettime(CLOCK_MONOTONIC), 0);

sub wait_for_next () {
  my $due = $start + ++$cycle * $period;
  my $ahead = $due - clock_gettime(CLOCK_MONOTONIC);
  Mojo::IOLoop->timer(($ahead > 0 ? $ahead : 0) => sub {
    my $late = clock_gettime(CLOCK_MONOTONIC) - $due;
    push_to_all(time - $late) if $late <= $period / 3;
    wait_for_next();
  });
}

my $daemon = Mojo::Server::Daemon->new(app => $app, listen => ["http://127.0.0.1:$port?backlog=512"], silent => 1, max_clients => 4000);
$daemon->start;
wait_for_next();
$SIG{TERM} = $SIG{INT} = sub {
  $daemon->stop;
  $cycle = 9**9;
  $_->{tx}->finish($defect eq 'ends-with-1000' ? 1000 : 1001) for values %clients;
  my $limit = time + 1.2;
  Mojo::IOLoop->recurring(0.01 => sub { exit 0 if !%clients || time > $limit });
};
Mojo::IOLoop->start;
