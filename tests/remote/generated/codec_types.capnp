# What travels in a strait channel of Everything.
# Layout fingerprint 7f6c9a503cca741f29d5d203f5536281.
@0xff6c9a503cca741f;

struct Everything {
  scalars @0 :Scalars;
  pod @1 :Pod64;
  times @2 :Times;
  record @3 :Record;
  lists @4 :Lists;
  unions @5 :Unions;
  maps @6 :Maps;
  others @7 :Others;
}

struct Scalars {
  b0 @0 :Bool;
  i8 @1 :Int8;
  b1 @2 :Bool;
  i64 @3 :Int64;
  u16 @4 :UInt16;
  shade @5 :Color;
  f32 @6 :Float32;
  u8 @7 :UInt8;
  b2 @8 :Bool;
  f64 @9 :Float64;
  i16 @10 :Int16;
  u32 @11 :UInt32;
  i32 @12 :Int32;
  u64 @13 :UInt64;
  p @14 :Plain;
  s @15 :UInt16;
  c @16 :UInt8;
  raw @17 :UInt8;
}

struct Pod64 {
  a @0 :Int64;
  b @1 :Int64;
  c @2 :Int64;
  d @3 :Float64;
  e @4 :Float64;
  f @5 :UInt32;
  g @6 :Float32;
  h @7 :Int16;
  i @8 :UInt16;
  j @9 :Int8;
  k @10 :Int8;
  l @11 :UInt8;
  m @12 :UInt8;
  n @13 :Int64;  # duration, in 1/1000000000 s
}

struct Times {
  timeout @0 :Int64;  # duration, in 1/1000 s
  at @1 :Int64;  # system, in 1/1000000000 s
  minutes @2 :Int64;  # duration, in 60 s
  exact @3 :Float64;  # duration, in 1 s
}

struct Record {
  id @0 :Int64;
  text @1 :Text;
  values @2 :List(Float64);
}

struct Lists {
  bits @0 :List(Bool);
  shorts @1 :List(Int16);
  texts @2 :List(Text);
  blobs @3 :List(Data);
  matrix @4 :List(List(Int32));
  cube @5 :List(List(List(Text)));
  points @6 :List(Point);
  records @7 :List(Record);
  colors @8 :List(Color);
  durations @9 :List(Int64);  # duration, in 1 s
  three @10 :List(Int32);
  id @11 :Data;
  bytes @12 :Data;
  ordered @13 :List(Int32);
}

struct Point {
  x @0 :Int32;
  y @1 :Int32;
}

struct Unions {
  before @0 :UInt8;
  maybeInt :union {
    none @1 :Void;
    some @2 :Int32;
  }
  maybeBool :union {
    none @3 :Void;
    some @4 :Bool;
  }
  maybeText :union {
    none @5 :Void;
    some @6 :Text;
  }
  choice :union {
    none @7 :Void;
    bool @8 :Bool;
    int64 @9 :Int64;
    text @10 :Text;
    point @11 :Point;
    uint16 @12 :UInt16;
  }
  after @13 :Bool;
  number :union {
    float32 @14 :Float32;
    float64 @15 :Float64;
  }
  maybePoint :union {
    none @16 :Void;
    some @17 :Point;
  }
  twice :union {
    none @18 :Void;
    some @19 :TwiceItem;
  }
  holes @20 :List(HolesItem);
  odd :union {
    list @21 :List(Text);
    oddItem @22 :OddItem;
  }
  last @23 :Int8;
}

struct TwiceItem {
  value :union {
    none @0 :Void;
    some @1 :Int16;
  }
}

struct HolesItem {
  value :union {
    none @0 :Void;
    some @1 :Int32;
  }
}

struct OddItem {
  value :union {
    none @0 :Void;
    some @1 :Color;
  }
}

struct Maps {
  counts @0 :List(CountsEntry);
  words @1 :List(WordsEntry);
  places @2 :List(PlacesEntry);
}

struct CountsEntry {
  key @0 :Text;
  value @1 :Int32;
}

struct WordsEntry {
  key @0 :Int64;
  value @1 :List(Text);
}

struct PlacesEntry {
  key @0 :Int32;
  value :union {
    none @1 :Void;
    some @2 :Point;
  }
}

struct Others {
  id @0 :Text;
  ids @1 :List(Text);
  parent :union {
    none @2 :Void;
    some @3 :Text;
  }
  half @4 :Int32;
  both @5 :Both;
  some @6 :Some;
  none @7 :None;
  nothing @8 :Empty;
  nothings @9 :List(Empty);
  root @10 :Tree;
}

struct Both {
  first @0 :Int32;
  second @1 :Text;
}

struct Some {
  f0 @0 :Int8;
  f1 @1 :Point;
  f2 @2 :Bool;
}

struct None {
}

struct Empty {
}

struct Tree {
  value @0 :Int32;
  children @1 :List(Tree);
}

enum Color {
  red @0;
  darkGreen @1;
  blue @2;
}

enum Plain {
  plainA @0;
  plainB @1;
  plainC @2;
}

struct Items {
  # A message's `items`, an AnyPointer, holds what `list` holds here.
  list @0 :List(Everything);
}
