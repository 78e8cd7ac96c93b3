"""The Streamlit page: reads the store, shows it, changes nothing."""
