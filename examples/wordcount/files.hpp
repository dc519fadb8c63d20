// The files: finding them, cutting them into jobs, and counting them once more to verify.
#pragma once

#include <cctype>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "worker.hpp"
namespace fs = std::filesystem;

struct text_files {
  std::vector<fs::path> paths;
  std::uint64_t size = 0, read = 0, skipped = 0;
};

/// Adds a file, or the files of a folder and of its folders. Links in there are not followed.
inline void find(const fs::path& path, fs::file_type type, text_files& found) {
  std::error_code error;
  if (type == fs::file_type::regular) {
    found.paths.push_back(path);
    found.size += fs::file_size(path, error);
  } else if (type == fs::file_type::directory) {
    fs::directory_iterator entry(path, error), end;
    for (; !error && entry != end; entry.increment(error)) {
      find(entry->path(), entry->symlink_status(error).type(), found);
    }
    if (error) ++found.skipped;
  }
}

inline text_files find_files(const std::vector<std::string>& paths) {
  text_files found;
  for (const std::string& path : paths) {
    const auto before = found.paths.size() + found.skipped;
    find(path, fs::status(path).type(), found);
    if (found.paths.size() + found.skipped > before) continue;
    throw std::runtime_error(path + (fs::exists(path) ? ": no files in there" : ": no such path"));
  }
  return found;
}

/// Of a job: the result, even of nothing but different words, is then below the limit of an item.
inline constexpr std::size_t most_bytes = 128 * 1024;

/// Sends the files as one text, cut into jobs where no word is. Holds one job of it at a time.
inline st::task<> feed(text_files& files, st::sender<job> jobs, st::sender<result> results,
                       st::sender<std::uint64_t> all_fed) {
  std::uint64_t id = 0;
  std::vector<char> text;
  for (const fs::path& path : files.paths) {
    std::ifstream file(path, std::ios::binary);
    while (file) {
      const std::size_t have = text.size();
      text.resize(have + most_bytes - have % most_bytes);
      file.read(text.data() + have, static_cast<std::streamsize>(text.size() - have));
      text.resize(have + static_cast<std::size_t>(file.gcount()));
      files.read += text.size() - have;
      if (!file) text.push_back('\n');  // the end of a file ends a word
      if (text.size() < most_bytes) continue;
      const auto cut = std::find_if_not(text.rbegin(), text.rend(), is_letter).base();
      std::vector<char> part(text.begin(), cut);
      text.erase(text.begin(), cut);  // leaves a word that may go on
      if (part.size() > most_bytes) {
        co_await results.send(id++, count(part));  // a word that is longer than a job
      } else if (!part.empty()) {
        co_await jobs.send(id++, std::move(part));
      }
    }
    if (!file.eof()) ++files.skipped;
  }
  if (!text.empty()) co_await jobs.send(id++, std::move(text));
  jobs.close();
  co_await all_fed.send(id);
}

/// The same count by other means: one thread, one letter at a time.
inline counts count_again(const text_files& files) {
  counts words;
  std::string word;
  for (const fs::path& path : files.paths) {
    std::ifstream file(path, std::ios::binary);
    while (file) {
      const int c = file.get();  // EOF is no letter
      if (std::isalpha(c)) {
        word += static_cast<char>(std::tolower(c));
      } else if (!word.empty()) {
        ++words[std::exchange(word, {})];
      }
    }
  }
  return words;
}
