// wire<T>: how a class that is no plain aggregate travels.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI {

/// Specialise it for a class that cannot travel by itself: name a type that can, and convert.
///
///     template <>
///     struct strait::wire<uuid> {
///       using type = std::array<std::byte, 16>;
///       static type write(const uuid& id) { return id.bytes; }
///       static uuid read(type&& bytes) { return uuid(bytes); }
///     };
///
/// `type` decides the layout and the fingerprint; a chain of such classes is resolved. `write` may
/// return a reference. Either may throw: a value that is refused fails its channel, not the link.
template <class T>
struct wire {};

/// A value that cannot be encoded or bytes that cannot be decoded. `what()` is one line that names
/// the field: "job.text: not UTF-8 ...".
class codec_error : public std::runtime_error {
 public:
  explicit codec_error(const std::string& problem)
      : std::runtime_error(problem), problem_(problem) {}
  /// The same problem, one level further out.
  codec_error(std::string_view field, const codec_error& inner)
      : std::runtime_error(line(join(field, inner.path_), inner.problem_)),
        path_(join(field, inner.path_)),
        problem_(inner.problem_) {}

  /// Where, as "job.items[].text"; empty for a bare value.
  const std::string& path() const noexcept { return path_; }
  /// What, without where.
  const std::string& problem() const noexcept { return problem_; }

 private:
  static std::string join(std::string_view field, const std::string& path) {
    std::string joined(field);
    if (!path.empty() && !joined.empty() && path.front() != '[') joined += '.';
    return joined += path;
  }

  static std::string line(const std::string& path, const std::string& problem) {
    return path.empty() ? problem : path + ": " + problem;
  }

  std::string path_;
  std::string problem_;
};

}  // namespace strait::inline STRAIT_ABI
