bind
