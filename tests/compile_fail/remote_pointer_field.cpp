// expect: this type cannot travel
// A pointer means nothing on another machine.
#include <strait/remote/schema.hpp>

struct job {
  int id;
  const char* text;
};

int main() { return strait::schema_text<job>().empty() ? 1 : 0; }
