// What a node serves: a channel under a name, in one direction, and the type it carries.
#pragma once

#include <strait/remote/detail/feed.hpp>
#include <strait/remote/detail/intake.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <strait/remote/schema.hpp>

namespace strait::inline STRAIT_ABI::detail {

class served : public std::enable_shared_from_this<served> {
 public:
  served(std::string n, bool s, bool sh, const type_info& t, std::size_t c)
      : name(std::move(n)),
        sending(s),
        shared(sh),
        type(t),
        capacity(static_cast<std::uint32_t>(c)) {}
  virtual ~served() = default;

  const std::string name;
  const bool sending;  ///< Remote ends send into it; else they receive.
  const bool shared;
  const type_info& type;
  const std::uint32_t capacity;

  /// In the drive; null once it is not served any more.
  virtual std::shared_ptr<intake_base> open_intake(std::shared_ptr<session>, protocol::client,
                                                   std::uint32_t) {
    return nullptr;
  }
  virtual std::shared_ptr<feed_base> open_feed(std::shared_ptr<session>, protocol::client) {
    return nullptr;
  }
  /// Lets go of the channel: the registration counted as a handle. In a goroutine.
  virtual void drop() = 0;

 protected:
  /// Receivers that come and go: one may prefetch, several may not.
  void came(const std::shared_ptr<feed_base>& f) {
    feeds_.push_back(f.get());
    f->begin(shared || feeds_.size() > 1);
    settle();
  }
  void left(feed_base* f) {
    std::erase(feeds_, f);
    settle();
  }

  std::mutex lock_;  // guards the handle of a derived class

 private:
  void settle() {
    for (feed_base* f : feeds_) f->share(shared || feeds_.size() > 1);
  }
  std::vector<feed_base*> feeds_;  // in the drive
};

template <class T>
class served_sender final : public served {
 public:
  served_sender(std::string n, sender<T> tx)
      : served(std::move(n), true, false, type_info_of<T>(), tx.cap()), tx_(std::move(tx)) {}

  std::shared_ptr<intake_base> open_intake(std::shared_ptr<session> s, protocol::client credits,
                                           std::uint32_t window) override {
    sender<T> tx = handle();
    if (!tx) return nullptr;
    auto link = std::make_shared<intake<T>>(s, name, kj::mv(credits), window);
    s->add(link);
    link->start(std::move(tx));
    return link;
  }
  void drop() override {
    sender<T> gone;
    std::lock_guard hold(lock_);
    std::swap(gone, tx_);
  }

 private:
  sender<T> handle() {
    std::lock_guard hold(lock_);
    return tx_;
  }
  sender<T> tx_;
};

template <class T>
class served_receiver final : public served {
 public:
  served_receiver(std::string n, receiver<T> rx, bool sh)
      : served(std::move(n), false, sh, type_info_of<T>(), rx.cap()), rx_(std::move(rx)) {}

  std::shared_ptr<feed_base> open_feed(std::shared_ptr<session> s, protocol::client sink) override {
    receiver<T> rx = handle();
    if (!rx) return nullptr;
    auto link = std::make_shared<feed<T>>(s, name, kj::mv(sink));
    s->add(link);
    came(link);
    link->start(std::move(rx), [self = shared_from_this(), f = link.get()] {
      static_cast<served_receiver&>(*self).left(f);
    });
    return link;
  }
  void drop() override {
    receiver<T> gone;
    std::lock_guard hold(lock_);
    std::swap(gone, rx_);
  }

 private:
  receiver<T> handle() {
    std::lock_guard hold(lock_);
    return rx_;
  }
  receiver<T> rx_;
};

}  // namespace strait::inline STRAIT_ABI::detail
