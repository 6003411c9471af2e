defmodule S do end
