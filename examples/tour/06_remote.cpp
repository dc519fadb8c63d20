// Step 6: the same goroutine, far away.
#include <cstdio>
#include <string>

#include <strait/remote.hpp>
#include <strait/strait.hpp>

namespace st = strait;

// What travels is a plain struct: no macro, no schema file.
struct question {
  int id;
  std::string word;
};
struct answer {
  int id;
  std::string reversed;
};

// It knows its two channels, and nothing of where they lead.
st::task<> worker(st::receiver<question> questions, st::sender<answer> answers) {
  while (auto q = co_await questions.recv()) {
    co_await answers.send(q->id, std::string(q->word.rbegin(), q->word.rend()));
  }
}

st::task<> ask(st::sender<question> questions, st::receiver<answer> answers, const char* where) {
  const std::string words[] = {"stressed", "drawer", "live"};
  for (int id = 0; id < 3; ++id) co_await questions.send(id, words[id]);
  questions.close();
  for (int id = 0; id < 3; ++id) {
    auto a = co_await answers.recv();
    std::printf("%s: %s is %s\n", where, words[id].c_str(), a->reversed.c_str());
  }
}

st::task<> root() {
  st::chan<question> questions(8);
  st::chan<answer> answers(8);
  st::go(worker, questions, answers);
  co_await ask(questions, answers, "near");

  // A node serves channels by name; whoever dials the name has the other end. Here it is the same
  // process, to be short: examples/wordcount has many.
  questions = st::chan<question>(8);
  st::node node;
  node.serve("questions", st::receiver<question>(questions));
  node.serve("answers", st::sender<answer>(answers));
  co_await node.listen("tcp://127.0.0.1:0");  // port 0 is any free one
  const std::string at = node.address();
  auto far_questions = co_await st::dial<st::receiver<question>>(at + "/questions");
  auto far_answers = co_await st::dial<st::sender<answer>>(at + "/answers");
  st::go(worker, std::move(far_questions), std::move(far_answers));
  co_await ask(questions, answers, "far");
}

int main() { st::run(root); }
