// The heart of the program: what travels, and the worker, which cannot tell near from far.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <strait/strait.hpp>

namespace st = strait;
using counts = std::unordered_map<std::string, std::uint64_t>;

struct job {
  std::uint64_t id;
  std::vector<char> text;  // bytes of anybody's files; a std::string is UTF-8 when it travels
};
struct result {
  std::uint64_t id;
  counts words;
};

constexpr bool is_letter(char c) { return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z'); }

/// A word is a maximal run of ASCII letters, lower-cased.
inline counts count(std::span<const char> text) {
  counts words;
  std::string word;
  for (auto end = text.begin(); end != text.end();) {
    const auto begin = std::find_if(end, text.end(), is_letter);
    end = std::find_if_not(begin, text.end(), is_letter);
    word.assign(begin, end);
    for (char& c : word) c = static_cast<char>(c | 0x20);
    if (!word.empty()) ++words[word];
  }
  return words;
}

inline st::task<> worker(st::receiver<job> jobs, st::sender<result> results) {
  while (auto j = co_await jobs.take()) {          // ends when all jobs are done
    co_await results.send(j->id, count(j->text));  // builds the result
    co_await results.flush();                      // the coordinator has it
    j.ack();                                       // killed before this: somebody else gets the job
  }
}
