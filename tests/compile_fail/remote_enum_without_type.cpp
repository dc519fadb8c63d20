// expect: this enum needs an underlying type
// A peer's number outside the enumerators' bits would be undefined behaviour in such an enum.
#include <strait/remote/schema.hpp>

enum color { red, green };

struct job {
  int id;
  color shade;
};

int main() { return strait::schema_text<job>().empty() ? 1 : 0; }
