# The wire protocol of strait: what two nodes say to each other over Cap'n Proto RPC.
#
# This file is for people, for clients in other languages, and for the interop tests. The library
# itself speaks it without generated code (remote/detail/protocol.hpp holds the same ids, ordinals
# and sizes; tests/remote/engine_test.cpp compares the two).
#
# Values of a channel of T travel as a List(T), held as AnyPointer because Cap'n Proto's generics
# do not cover lists; `strait schema` prints T's own struct. All numbers called "upTo" are
# cumulative and count values from 0, so that a repeat is harmless; a batch starts with value number
# `first`.
#
# Marked (reserved): what later versions speak. A node of this version answers "unimplemented".

@0xb5e6d1f0a7c34e21;

struct PeerInfo {
  incarnation  @0 :Data;     # 16 random bytes, new at every start of a process
  name         @1 :Text;
  protocol     @2 :UInt16;   # 1
  features     @3 :UInt64;   # a bit set; a feature is used when both sides have it
  maxItemBytes @4 :UInt32;   # the largest value this side will take
  heartbeatMs  @5 :UInt32;   # this side wants to hear something so often; the lesser one holds
  graceMs      @6 :UInt32;   # how long this side keeps a session whose connection broke
  token        @7 :Data;     # (reserved) proof of who this is, where TLS does not give it
}

struct TypeInfo {
  name        @0 :Text;
  fingerprint @1 :Data;      # 16 bytes over the canonical layout
  layout      @2 :Text;      # the canonical layout, one field a line: for the message that says
                             # which field differs
  fields      @3 :UInt16;
}

struct ChanRef {             # (reserved) names a channel from anywhere; may be stored
  homeAddress @0 :Text;
  incarnation @1 :Data;
  chanId      @2 :UInt64;
  secret      @3 :Data;      # whoever holds these 16 bytes may use the channel
  rights      @4 :UInt8;     # 1 send, 2 receive, 4 close
}

struct End {                 # why something ended, or was refused
  union {
    closed    @0 :Void;      # in order: everything before it was delivered
    failed    @1 :Text;      # close(error)
    lost      @2 :Text;      # a session is gone; the fate of the tail is unknown
    restarted @3 :Void;      # (reserved) the home answered with another incarnation
    mismatch  @4 :TypeInfo;  # the home's type, which differs
    denied    @5 :Text;      # no such channel, wrong direction, not allowed
    drained   @6 :Void;      # an orderly goAway
    noReceiver @8 :Void;     # nobody at the home can receive any more
  }
  lastSeq @7 :UInt64;        # everything below was taken
}

enum Completion { queued @0; accepted @1; received @2; processed @3; }

interface Hub @0xd1e0c5a37f4b9a10 {  # the bootstrap object of a node
  open @0 (me :PeerInfo, resume :Data)
       -> (session :Session, home :PeerInfo, token :Data, resumed :Bool, refused :End);
  # `resume` and `token` (reserved): take up a session whose connection broke.
}

interface Session @0x9c2f4e81b6d03a27 {
  bind   @0 (name :Text, want :TypeInfo, rights :UInt8)
         -> (chan :Channel, info :ChanInfo, refused :End);
  dial   @1 (ref :ChanRef, want :TypeInfo) -> (chan :Channel, info :ChanInfo, refused :End);
                                                                                  # (reserved)
  resume @2 (mine :List(EndpointState), sinks :List(Slot))
         -> (theirs :List(EndpointState), endpoints :List(Slot));                 # (reserved)
  list   @3 () -> (channels :List(ChanInfo));                                     # (reserved)
  ping   @4 (nonce :UInt64) -> (nonce :UInt64, load :Float32);
  goAway @5 (drainMs :UInt32, reason :Text) -> ();
  # The caller leaves in order: it has finished its ends, and the connection may go.
}

struct Slot {                # (reserved) an end that is taken up again
  union {
    none     @0 :Void;
    sender   @1 :Sender;
    receiver @2 :Receiver;
    credits  @3 :CreditSink;
    sink     @4 :Sink;
    gone     @5 :End;
  }
}

struct EndpointState {       # (reserved)
  id         @0 :UInt64;
  sentUpTo   @1 :UInt64;
  gotUpTo    @2 :UInt64;
  ackedUpTo  @3 :UInt64;
  demandUpTo @4 :UInt64;
  held       @5 :List(UInt64);
}

struct ChanInfo {
  id         @0 :UInt64;
  name       @1 :Text;
  capacity   @2 :UInt32;
  type       @3 :TypeInfo;
  ref        @4 :ChanRef;    # (reserved)
  durable    @5 :Bool;       # (reserved)
  completion @6 :Completion; # (reserved)
}

interface Channel @0xe83b7ad5419c06f2 {  # what travels when a channel is sent through a channel
  info     @0 () -> (info :ChanInfo);
  sender   @1 (id :UInt64, credits :CreditSink, window :UInt32)
           -> (sender :Sender, grantUpTo :UInt64, bytesUpTo :UInt64, refused :End);
  receiver @2 (id :UInt64, sink :Sink, prefetch :UInt32, manualAck :Bool)
           -> (receiver :Receiver, refused :End, prefetch :UInt32);
  close    @3 (end :End) -> (first :Bool);
  # (reserved) `first`: nobody had closed it before. A sender's `finish` closes until then.

  # (reserved) The easy tier: no session, no sink; a script in any language.
  put      @4 (client :Data, seq :UInt64, value :AnyPointer, waitMs :UInt32)
           -> (end :End, accepted :Bool);
  take     @5 (max :UInt32, waitMs :UInt32, leaseMs :UInt32)
           -> (end :End, items :AnyPointer, first :UInt64, attempt :UInt32, lease :Lease);
}

interface Lease @0xa6405fd2e71b8c39 {  # (reserved) dropped, or its connection lost: back to the front
  ack      @0 (count :UInt32) -> ();
  giveBack @1 (delayMs :UInt32) -> ();
  extend   @2 (ms :UInt32) -> ();
}

interface Sender @0xf5c91b3e60a7d284 {  # at the home, called by the process that sends
  push @0 (first :UInt64, items :AnyPointer, bytes :UInt64, keys :List(Data), trace :Data)
       -> (acceptedUpTo :UInt64, grantUpTo :UInt64, bytesUpTo :UInt64);
  # An ordinary call: its answer, which goes at once, carries the credit that a `-> stream` would
  # need another call for. `bytes` is the size of `items`, counted against `bytesUpTo`.
  # `keys`, `trace` (reserved): dedupe keys, a trace id.

  flush         @1 (upTo :UInt64, want :Completion) -> (upTo :UInt64);
  returnCredits @2 (count :UInt32) -> ();          # (reserved)
  finish        @3 (last :UInt64, end :End) -> (); # this end is done; values before `last` were sent
  withdraw      @4 (seq :UInt64) -> (returned :Bool);  # (reserved) a rendezvous that gave up
  offer         @5 (seq :UInt64, item :AnyPointer, lazy :Bool) -> (taken :Bool, busy :Bool);
                                                       # (reserved) a rendezvous
}

interface CreditSink @0xb02d68f1c954e7a3 {  # at the process that sends, called by the home
  credit @0 (grantUpTo :UInt64, acceptedUpTo :UInt64, receivedUpTo :UInt64, bytesUpTo :UInt64) -> ();
  revoke @1 (count :UInt32) -> (returned :UInt32);     # (reserved)
  ended  @2 (end :End) -> ();
  # The channel is closed, or failed: what was sent before is still pushed, and then `Sender.finish`
  # says so. The home takes it, and only then ends the receivers: close is a barrier. With another
  # end than these two there is nothing more to do.
}

interface Sink @0x8d7ae4096b3cf512 {  # at the process that receives, called by the home
  push  @0 (first :UInt64, items :AnyPointer, bytes :UInt64, attempt :UInt32, trace :Data)
        -> (demandUpTo :UInt64, ackedUpTo :UInt64, bytesUpTo :UInt64, prefetch :UInt32);
  # The answer says what `Receiver.demand` says.
  ended @1 (end :End) -> ();            # after the last push
  claim @2 (seq :UInt64) -> (taken :Bool, busy :Bool);  # (reserved) a rendezvous
  prefetch @3 (items :UInt32) -> ();
  # From now on demand no more than `items` values beyond those that are waited for, and give back
  # what nobody took: other receivers share the channel. Demands made before this are forgotten.
}

interface Receiver @0xc4160eb98f27d35b {  # at the home, called by the process that receives
  demand   @0 (upTo :UInt64, ackedUpTo :UInt64, bytesUpTo :UInt64, prefetch :UInt32) -> ();
  # May be given values below `upTo`, as far as the bytes of all values pushed stay below
  # `bytesUpTo`; one value may always fly alone. `ackedUpTo`: everything below is settled.
  # `prefetch`: the last such number heard; a demand made under another one does not count.
  withdraw @1 (upTo :UInt64) -> (upTo :UInt64);
  # (reserved) Demand no more than `upTo`; answers what was handed out already.
  ack      @2 (seqs :List(UInt64)) -> ();
  giveBack @3 (seqs :List(UInt64), delayMs :UInt32, tried :Bool) -> ();
  # `tried`: somebody had taken them; else they only waited here. `delayMs` (reserved).
  finish   @4 () -> ();
  extend   @5 (seqs :List(UInt64), ms :UInt32) -> ();   # (reserved)
  reject   @6 (seqs :List(UInt64), why :Text) -> ();    # (reserved)
}
